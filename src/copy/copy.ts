import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { ConfigError } from '../config-error.ts'
import { mediaFolder } from '../data-folders.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import type { Contents } from '../media/contents.ts'
import { mediaFact, mediaPlace } from '../media/open.ts'
import { databaseLabel } from '../setting-values.ts'
import { type Checksums, checksumsOf, digestOf } from './checksums.ts'
import type { Source, Target } from './endpoint.ts'
import { installationOf, sourceCheck, targetState } from './inspect.ts'
import { copyFiles, countFiles, missingFiles, sameFolder } from './media.ts'
import { openSource, openTarget, refuseMemory } from './open.ts'
import type { Progress } from './progress.ts'
import { copyInstallation, copyTable, markTarget, unmarkTarget } from './rows.ts'
import { copySecrets, type Location, refuseOtherKey } from './secrets.ts'
import { allTables, tables } from './tables.ts'

export interface CopyOptions {
  readonly from: Location
  readonly to: Location
  /** Continue although the source lacks files that its rows refer to. */
  readonly allowMissingFiles: boolean
  readonly progress: Progress
}

/** A copy that has passed all checks. */
export interface Work extends CopyOptions {
  readonly source: Source
  readonly target: Target
  /** Identifies the installation, see `Vault.createCheck`. */
  readonly vaultCheck: string
  /** Of the source. */
  readonly checksums: Checksums
  readonly files: number
  /** Of the media; null when both ends share one. The source may keep them elsewhere than in a folder. */
  readonly folders: { readonly from: string | Contents; readonly to: string } | null
}

/**
 * Copies an installation: rows, media, secrets. A copy that was killed continues when it is started again. Everything that can
 * prevent a copy is checked before anything is changed. Throws ConfigError.
 *
 * States of the target: empty → marked (`copyUnderWay`: no server starts on it) → complete (the marker is deleted last).
 */
export async function copyInstallationTo(options: CopyOptions): Promise<void> {
  const { from, to } = options
  refuseMemory(from.database, '--from')
  refuseMemory(to.database, '--to')
  refuseSame(from, to)
  await explainErrors(from, async () => {
    const source = await openSource(from.database)
    try {
      await refuseLiveNodes(source, databaseLabel(from.database))
      const vaultCheck = await sourceCheck(source, databaseLabel(from.database))
      await explainErrors(to, () => copyFrom(source, vaultCheck, options))
    } finally {
      await source.close()
    }
  })
}

async function copyFrom(source: Source, vaultCheck: string, options: CopyOptions): Promise<void> {
  const { from, to, progress } = options
  const target = await openTarget(to.database)
  try {
    const [checksums, files] = [await checksumsOf(source), await countFiles(source.db)]
    const work: Work = { ...options, source, target, vaultCheck, checksums, files, folders: foldersOf(from, to) }
    const state = await stateFor(work)
    refuseOtherKey(to, vaultCheck)
    await refuseMissingFiles(work)
    await makeCopy(work, state)
  } finally {
    progress.end()
    await target.close()
  }
}

async function makeCopy(work: Work, state: 'new' | 'begun' | 'complete'): Promise<void> {
  const { source, target, progress, from, to } = work
  if (state !== 'complete') {
    await target.prepare()
    if (state === 'new') await markTarget(target, markerOf(work))
  }
  await beginProgress(work)
  if (state !== 'complete') await copyRows(work)
  await copyMedia(work)
  const secrets = copySecrets(from, to, work.vaultCheck)
  if (state !== 'complete') await copyInstallation(source, target)
  progress.end()
  await verify(work)
  if (state !== 'complete') {
    await refuseLiveNodes(source, databaseLabel(from.database))
    await target.settle()
    await unmarkTarget(target)
  } else progress.say('The target had all rows already.')
  for (const sentence of secrets) progress.say(sentence)
  progress.say(`Everything is in ${databaseLabel(to.database)}: start the server with PARLEY_DATABASE_URL set to it.`)
}

/** Returns how far the target is. Throws ConfigError when it holds anything but an unfinished or finished copy of the source. */
async function stateFor(work: Work): Promise<'new' | 'begun' | 'complete'> {
  const { target, vaultCheck, checksums, to } = work
  const name = databaseLabel(to.database)
  const { empty, marker, vaultCheck: there } = await targetState(target, name)
  if (empty) return 'new'
  const mine = markerOf(work)
  if (marker === mine) return 'begun'
  if (marker?.split(' ')[0] === mine.split(' ')[0]) {
    throw new ConfigError(`the source has changed since the copy into ${name} was begun: empty the target and start over`)
  }
  if (marker !== undefined) {
    throw new ConfigError(`${name} holds the unfinished copy of another installation: finish that, or empty it first`)
  }
  if (there === vaultCheck && digestOf(await checksumsOf(target)) === digestOf(checksums)) return 'complete'
  throw new ConfigError(`${name} holds an installation already: give an empty database as --to`)
}

/** Identifies an installation and its rows: those that have been copied are not compared again, so they must not have changed. */
function markerOf({ vaultCheck, checksums }: Work): string {
  return `${createHash('sha256').update(vaultCheck).digest('hex').slice(0, 32)} ${digestOf(checksums)}`
}

/** Shows how much there is to do, and how much an earlier run has done. */
export async function beginProgress({ checksums, files, target, progress }: Work): Promise<void> {
  let total = files
  for (const { rows } of checksums.values()) total += rows
  let done = 0
  for (const table of tables) {
    const { rows } = await target.db
      .selectFrom(table)
      .select((eb) => eb.fn.countAll<number>().as('rows'))
      .executeTakeFirstOrThrow()
    done += Number(rows)
  }
  progress.begin(total, done)
}

/** Copies the rows of every table but `installation`. */
export async function copyRows({ source, target, checksums, progress }: Work): Promise<void> {
  for (const table of tables) {
    await copyTable(source, target, table, (rows) => progress.step(table, rows))
    progress.done(table, checksums.get(table)?.rows ?? 0, 'rows')
  }
}

async function copyMedia({ source, folders, files, progress }: Work): Promise<void> {
  if (!folders) return
  await copyFiles(source.db, folders, { copied: (amount) => progress.step('files', amount), mayVanish: false })
  progress.done('media', files, 'files')
}

/** Compares every table. When one differs the marker stays, so that no server starts on the target. */
export async function verify({ checksums, target, progress, to }: Work): Promise<void> {
  const there = await checksumsOf(target)
  progress.say(countsTable(checksums, there))
  const different = allTables.filter((table) => there.get(table)?.check !== checksums.get(table)?.check)
  if (different.length === 0) return
  throw new ConfigError(
    `${databaseLabel(to.database)} differs from the source in ${different.join(', ')}: do not use it; empty it and start over`,
  )
}

function countsTable(source: Checksums, target: Checksums): string {
  const rows = allTables.map((table) => [table, String(source.get(table)?.rows), String(target.get(table)?.rows)] as const)
  const lines = [['table', 'source', 'target'] as const, ...rows].map(
    ([table, one, other]) => `${table.padEnd(24)}${one.padStart(14)}${other.padStart(14)}`,
  )
  return lines.join('\n')
}

function foldersOf(from: Location, to: Location): Work['folders'] {
  const folders = { from: folderOf(from), to: folderOf(to) }
  return sameFolder(folders) ? null : folders
}

/** Returns the media folder of an installation. */
export function folderOf(location: Location): string {
  const folder = mediaFolder(location)
  if (folder === null) throw new Error('a database in memory has no folder')
  return resolve(folder)
}

function refuseSame({ database: from }: Location, { database: to }: Location): void {
  const same =
    from.engine === 'sqlite'
      ? to.engine === 'sqlite' && resolve(from.file) === resolve(to.file)
      : to.engine === 'postgres' && from.url === to.url
  if (same) throw new ConfigError('--from and --to are the same database')
}

async function refuseLiveNodes(source: Source, name: string): Promise<void> {
  const nodes = await source.liveNodes()
  if (nodes.length === 0) return
  throw new ConfigError(
    `${name} is in use by ${nodes.length} running Parley (${nodes.join(', ')}): stop all first; one that was killed counts for ten seconds more`,
  )
}

async function refuseMissingFiles({ source, folders, allowMissingFiles, progress }: Work): Promise<void> {
  if (!folders) return
  const { count, first } = await missingFiles(source.db, folders)
  if (count === 0) return
  const place = (await installationOf(source))[mediaFact]
  if (place !== undefined && place !== mediaPlace({ mediaStore: null })) {
    return progress.say(`The servers keep media in ${place}, where they stay: start them with the same PARLEY_MEDIA_STORE.`)
  }
  const missing = `${count === 1 ? 'a file' : `${count} files`} of media that the source names cannot be found (${first})`
  if (allowMissingFiles) return progress.say(`${missing}; going on without`)
  throw new ConfigError(`${missing}: give the folder with --from-data-dir, or go on without by --allow-missing-files`)
}
