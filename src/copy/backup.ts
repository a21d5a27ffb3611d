import { existsSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { sql } from 'kysely'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { gatewayFolder, mediaFolder, secretFile } from '../data-folders.ts'
import { codeOf } from '../errors.ts'
import { checkFolder, isWithin } from '../folders.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import { openKeptMedia } from '../installation/kept-media.ts'
import { storedVault } from '../installation/secrets.ts'
import { MediaStoreError } from '../media/contents.ts'
import { syncToDisk } from '../media/files.ts'
import type { MediaConfig } from '../media/open.ts'
import { databaseLabel } from '../setting-values.ts'
import { type Checksums, checksumsOf, digestOf } from './checksums.ts'
import { beginProgress, copyRows, folderOf, verify, type Work } from './copy.ts'
import { mediaMarkerOf, sourceCheck } from './inspect.ts'
import { copyFiles, countFiles, missingFiles } from './media.ts'
import { openEndpoint, openSnapshot, openTarget, refuseMemory } from './open.ts'
import type { Progress } from './progress.ts'
import { copyInstallation, markTarget, unmarkTarget } from './rows.ts'
import type { Location } from './secrets.ts'

export interface BackupOptions {
  readonly config: MediaConfig & Pick<Config, 'secretKey' | 'previousSecretKey'>
  /** New or empty. */
  readonly folder: string
  /** Continue although the installation lacks files that its rows refer to. */
  readonly allowMissingFiles: boolean
  readonly progress: Progress
}

/**
 * Writes a backup of an installation, whose servers may be running, into a folder: `parley.db`, a SQLite database whatever the
 * engine, and `parley.media`. It is what one snapshot of the database holds. Then the backup is opened and compared with that
 * snapshot. The secret key is not in it. A backup that fails is removed. Throws ConfigError.
 */
export async function backupInstallation(options: BackupOptions): Promise<void> {
  const { config, progress } = options
  const folder = resolve(options.folder)
  refuseMemory(config.database, 'PARLEY_DATABASE_URL')
  refuseFolder(folder, config)
  const to = { database: { engine: 'sqlite', file: join(folder, 'parley.db') } as const, dataDir: folder }
  // Twice: a running server may have deleted a file together with its row since the snapshot was taken.
  const look = () => explainErrors(config, () => missingMedia(config))
  const missing = (await look()) && (await look())
  if (missing !== null && !options.allowMissingFiles) {
    throw new ConfigError(`${missing}: restore it, or go on without by --allow-missing-files`)
  }
  try {
    await explainErrors(config, async () => {
      const source = await openSnapshot(config.database)
      try {
        const vaultCheck = await sourceCheck(source, databaseLabel(config.database))
        refuseOtherKey(config, vaultCheck)
        const checksums = await checksumsOf(source)
        const target = await openTarget(to.database)
        const kept = await openKeptMedia(config, await mediaMarkerOf(source))
        const folders = { from: kept ?? folderOf(config), to: folderOf(to) }
        const files = await countFiles(source.db)
        await explainErrors(to, () =>
          writeBackup({ ...options, from: config, to, source, target, vaultCheck, checksums, files, folders }),
        ).finally(() => kept?.close())
        rmSync(`${to.database.file}.lock`, { force: true })
        await explainErrors(to, () => openBackup(to, checksums, vaultCheck))
      } finally {
        await source.close()
      }
    })
  } catch (error) {
    for (const name of existsSync(folder) ? readdirSync(folder) : []) rmSync(join(folder, name), { recursive: true })
    throw error instanceof MediaStoreError ? new ConfigError(error.message, { cause: error }) : error
  }
  const { file } = to.database
  await syncToDisk(file)
  for (const path of [folder, dirname(folder)]) await syncToDisk(path)
  progress.say(`The backup is in ${folder}. It was opened and compared with the database.`)
  const key = secretFile(config, 'key')
  const kept = config.secretKey === null ? key : 'PARLEY_SECRET_KEY'
  progress.say(`The secret key is not in it, and nothing can be decrypted without: keep ${kept} in another place.`)
  if (storedVault(config)?.hasPrevious) {
    progress.say(
      'The secret key is being replaced: keep the previous one with it, unless parley rotate-key --check counts nothing under it.',
    )
  }
}

/** Throws ConfigError when a folder cannot be that of a backup. */
function refuseFolder(folder: string, config: BackupOptions['config']): void {
  try {
    checkFolder(folder)
  } catch (error) {
    if (!(error instanceof Error) || codeOf(error) === undefined) throw error
    throw new ConfigError(`${folder} cannot be used (${error.message}): check its owner, or name another folder`, {
      cause: error,
    })
  }
  for (const own of [mediaFolder(config), gatewayFolder(config)]) {
    if (own === null || !isWithin(folder, own)) continue
    throw new ConfigError(`${folder} is inside ${own}, which Parley keeps for itself: give the backup a folder of its own`)
  }
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new ConfigError(`${folder} is not empty: give the backup a folder of its own`)
  }
}

type BackupWork = Work & { readonly folders: NonNullable<Work['folders']> }

async function writeBackup(work: BackupWork): Promise<void> {
  const { source, target, folders, files, progress } = work
  try {
    await target.prepare()
    // Until the backup is complete no server starts on it.
    await markTarget(target, 'backup')
    await beginProgress(work)
    await copyRows(work)
    await copyFiles(source.db, folders, { copied: (amount) => progress.step('files', amount), mayVanish: true })
    progress.done('media', files, 'files')
    await copyInstallation(source, target)
    progress.end()
    await verify(work)
    const { count } = await missingFiles(target.db, { from: folders.to, to: folders.to })
    if (count > 0) progress.say(`${count} of the files had been deleted by the time they were copied.`)
    await target.settle()
    await unmarkTarget(target)
  } finally {
    progress.end()
    await target.close()
  }
}

/** Opens the backup as whoever restores it will. Throws ConfigError when it is not what the snapshot was. */
async function openBackup({ database }: Location, checksums: Checksums, vaultCheck: string): Promise<void> {
  const endpoint = await openEndpoint(database)
  const name = databaseLabel(database)
  try {
    const { rows: faults } = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(endpoint.db)
    const same =
      (await sourceCheck(endpoint, name)) === vaultCheck && digestOf(await checksumsOf(endpoint)) === digestOf(checksums)
    if (faults.length === 1 && faults[0]?.integrity_check === 'ok' && same) return
    throw new ConfigError(`${name} is not what was written to it: check the disk, and run the command again`)
  } finally {
    await endpoint.close()
  }
}

/** Throws ConfigError when a key is at hand that is not the one of the database: whoever keeps it with the backup would be lost. */
function refuseOtherKey(config: BackupOptions['config'], vaultCheck: string): void {
  const vault = storedVault(config)
  if (vault === null || vault.matchesCheck(vaultCheck)) return
  throw new ConfigError('the secret key is not the one that this database was created with: nobody could use the backup with it')
}

/** Returns a sentence about files that rows refer to and that are not there; null when there are none. */
async function missingMedia(config: BackupOptions['config']): Promise<string | null> {
  const folder = folderOf(config)
  const source = await openSnapshot(config.database)
  try {
    await sourceCheck(source, databaseLabel(config.database))
    const kept = await openKeptMedia(config, await mediaMarkerOf(source))
    const looked = missingFiles(source.db, { from: kept ?? folder, to: folder })
    const { count, first } = await looked.finally(() => kept?.close())
    return count === 0 ? null : `${count === 1 ? 'a file' : `${count} files`} of media cannot be found (${first})`
  } finally {
    await source.close()
  }
}
