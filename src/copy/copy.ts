import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { ConfigError, mediaFolder, shownPlace } from '../config.ts'
import { explained } from '../installation/explained.ts'
import { type AllSums, digestOf, sumsOf } from './checksums.ts'
import type { Source, Target } from './endpoint.ts'
import { sourceCheck, targetState } from './inspect.ts'
import { copyFiles, countFiles, missingFiles, sameFolder } from './media.ts'
import { openSource, openTarget, refuseMemory } from './open.ts'
import type { Progress } from './progress.ts'
import { copyInstallation, copyTable, markTarget, unmarkTarget } from './rows.ts'
import { copySecrets, type Home, refuseOtherKey } from './secrets.ts'
import { all_tables, tables } from './tables.ts'

export interface CopyOptions {
  readonly from: Home
  readonly to: Home
  /** Goes on when the source lacks files that its rows refer to. */
  readonly allow_missing_files: boolean
  readonly progress: Progress
}

/** A copy that may be made. */
interface Work extends CopyOptions {
  readonly source: Source
  readonly target: Target
  /** Which installation it is, see `vault_check` in `main.ts`. */
  readonly vault_check: string
  /** Of the source. */
  readonly sums: AllSums
  readonly files: number
  /** Of the media; null when both sides have the same. */
  readonly folders: { readonly from: string; readonly to: string } | null
}

/**
 * Copies an installation: rows, media, secrets. It may be killed at any moment and goes on when it is started again. Nothing is
 * changed before all is known that speaks against it. Throws ConfigError.
 *
 * The target's states: empty → marked (`copyUnderWay`, no server starts on it) → complete, when the mark goes as the very last.
 */
export async function copyInstallationTo(options: CopyOptions): Promise<void> {
  const { from, to } = options
  refuseMemory(from.database, '--from')
  refuseMemory(to.database, '--to')
  refuseSame(from, to)
  await explained(from, async () => {
    const source = await openSource(from.database)
    try {
      await refuseLiveNodes(source, shownPlace(from.database))
      const vault_check = await sourceCheck(source, shownPlace(from.database))
      await explained(to, () => copyFrom(source, vault_check, options))
    } finally {
      await source.close()
    }
  })
}

async function copyFrom(source: Source, vault_check: string, options: CopyOptions): Promise<void> {
  const { from, to, progress } = options
  const target = await openTarget(to.database)
  try {
    const [sums, files] = [await sumsOf(source), await countFiles(source.db)]
    const work: Work = { ...options, source, target, vault_check, sums, files, folders: foldersOf(from, to) }
    const state = await stateFor(work)
    refuseOtherKey(to, vault_check)
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
    if (state === 'new') await markTarget(target, markOf(work))
  }
  await beginProgress(work)
  if (state !== 'complete') await copyRows(work)
  await copyMedia(work)
  const secrets = copySecrets(from, to, work.vault_check)
  if (state !== 'complete') await copyInstallation(source, target)
  progress.end()
  await verify(work)
  if (state !== 'complete') {
    await refuseLiveNodes(source, shownPlace(from.database))
    await target.settle()
    await unmarkTarget(target)
  } else progress.say('The target had all rows already.')
  for (const told of secrets) progress.say(told)
  progress.say(`Everything is in ${shownPlace(to.database)}: start the server with PARLEY_DATABASE_URL set to it.`)
}

/** What is in the target. Throws ConfigError when that is something else than an unfinished or finished copy of the source. */
async function stateFor(work: Work): Promise<'new' | 'begun' | 'complete'> {
  const { target, vault_check, sums, to } = work
  const name = shownPlace(to.database)
  const { empty, mark, vault_check: there } = await targetState(target, name)
  if (empty) return 'new'
  const mine = markOf(work)
  if (mark === mine) return 'begun'
  if (mark?.split(' ')[0] === mine.split(' ')[0]) {
    throw new ConfigError(`the source has changed since the copy into ${name} was begun: empty the target and start over`)
  }
  if (mark !== undefined) {
    throw new ConfigError(`${name} holds the unfinished copy of another installation: finish that, or empty it first`)
  }
  if (there === vault_check && digestOf(await sumsOf(target)) === digestOf(sums)) return 'complete'
  throw new ConfigError(`${name} holds an installation already: give an empty database as --to`)
}

/** Which installation, and in which state: rows below the greatest key are not looked at again, so they must be as they were. */
function markOf({ vault_check, sums }: Work): string {
  return `${createHash('sha256').update(vault_check).digest('hex').slice(0, 32)} ${digestOf(sums)}`
}

async function beginProgress({ sums, files, target, progress }: Work): Promise<void> {
  let total = files
  for (const { rows } of sums.values()) total += rows
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

async function copyRows({ source, target, sums, progress }: Work): Promise<void> {
  for (const table of tables) {
    await copyTable(source, target, table, (rows) => progress.step(table, rows))
    progress.done(table, sums.get(table)?.rows ?? 0, 'rows')
  }
}

async function copyMedia({ source, folders, files, progress }: Work): Promise<void> {
  if (!folders) return
  await copyFiles(source.db, folders, (amount) => progress.step('files', amount))
  progress.done('media', files, 'files')
}

/** Compares every table. The mark stays when they differ: such a target is not to be used. */
async function verify({ sums, target, progress, to }: Work): Promise<void> {
  const there = await sumsOf(target)
  progress.say(countsTable(sums, there))
  const different = all_tables.filter((table) => there.get(table)?.check !== sums.get(table)?.check)
  if (different.length === 0) return
  throw new ConfigError(
    `${shownPlace(to.database)} differs from the source in ${different.join(', ')}: do not use it; empty it and start over`,
  )
}

function countsTable(source: AllSums, target: AllSums): string {
  const rows = all_tables.map((table) => [table, String(source.get(table)?.rows), String(target.get(table)?.rows)] as const)
  const lines = [['table', 'source', 'target'] as const, ...rows].map(
    ([table, one, other]) => `${table.padEnd(24)}${one.padStart(14)}${other.padStart(14)}`,
  )
  return lines.join('\n')
}

function foldersOf(from: Home, to: Home): Work['folders'] {
  const folders = { from: resolve(mediaFolder(from) as string), to: resolve(mediaFolder(to) as string) }
  return sameFolder(folders) ? null : folders
}

function refuseSame({ database: from }: Home, { database: to }: Home): void {
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

async function refuseMissingFiles({ source, folders, allow_missing_files, progress }: Work): Promise<void> {
  if (!folders) return
  const { count, first } = await missingFiles(source.db, folders)
  if (count === 0) return
  const missing = `${count === 1 ? 'a file' : `${count} files`} of media that the source names cannot be found (${first})`
  if (allow_missing_files) return progress.say(`${missing}; going on without`)
  throw new ConfigError(`${missing}: give the folder with --from-data-dir, or go on without by --allow-missing-files`)
}
