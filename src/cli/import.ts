import { closeSync, existsSync, openSync, statSync, writeSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Command, InvalidArgumentError } from 'commander'
import { SystemClock } from '../clock.ts'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { mediaMarkerOf, sourceCheck } from '../copy/inspect.ts'
import { openEndpoint } from '../copy/open.ts'
import { mediaFolder } from '../data-folders.ts'
import { codeOf, isDiskFull } from '../errors.ts'
import { openKeptMedia } from '../installation/kept-media.ts'
import { MediaStoreError } from '../media/contents.ts'
import type { Applied } from '../records/apply.ts'
import type { Checked } from '../records/check.ts'
import { type Kind, kinds } from '../records/format.ts'
import { databaseLabel } from '../setting-values.ts'
import type { ImportReport } from '../transfer/import.ts'
import type { Fault, ImportState } from '../transfer/import-state.ts'
import type { Media } from '../transfer/media.ts'
import type { Beginning } from '../transfer/resume.ts'
import { terminalProgress } from './copy.ts'
import { fetchRecords, type HostedOptions, isOfDisk, withHostedOptions } from './import-hosted.ts'
import { asOperator } from './operator.ts'
import { type Call, RefusedError } from './server.ts'
import { configOf, withSettings } from './settings.ts'
import { printable } from './terminal.ts'

interface Options extends HostedOptions {
  readonly from?: string
  readonly fromTwilio?: true
  readonly media?: string
  readonly report?: string
  readonly only?: readonly Kind[]
  readonly startTimers?: boolean
}

/** Faults that are printed; a report has more. */
const maxPrinted = 100

/** `parley import`: stores the records of a file, with every SID as it is; with --from-twilio it makes the file first. */
export function importCommand(): Command {
  const command = withSettings(
    new Command('import').description(
      'import records that parley export has written, or a hosted account; can be interrupted and repeated',
    ),
  )
    .option('--from <path>', 'folder of an export, or file ending in .jsonl')
    .option('--media <folder>', 'folder of its media (default: media beside the file)')
    .option('--report <file>', 'write all faults to this file, as JSON lines')
    .option('--only <kinds>', `store only these kinds, separated by commas: ${kinds.join(', ')}`, parseKinds)
    .option('--start-timers', 'start the timers of conversations at the end (default with --from)')
    .option('--no-start-timers', 'let them stand still, for all passes but the last (default with --from-twilio)')
  return withHostedOptions(command).action(async (_options, command: Command) => {
    const options = command.opts<Options>()
    const { from, fromTwilio, fetchOnly, dryRun, startTimers = from !== undefined } = options
    if ((from === undefined) === (fromTwilio === undefined)) {
      throw new ConfigError('one of --from and --from-twilio is needed: where the records are')
    }
    const config = configOf(command)
    // Whether there is somewhere to store them is known before hours of reading; the database stays free meanwhile.
    if (fromTwilio && !fetchOnly && !dryRun) await asOperator(config, async () => {})
    const { file, services } = from === undefined ? await fetchRecords(options) : { file: fileOf(from), services: [] }
    if (file === null || fetchOnly) return
    await asOperator(config, async (call) => {
      await sendFile(config, call, file, { ...options, startTimers })
      // Those of a pass before, too, whose file has no line of this service.
      if (startTimers) for (const service of services) await startTimersOf(call, service)
    })
  })
}

const whatToDo = 'make room, or see the log of the server, and run the same command again, which stores the rest'

/** How often a request is repeated that the server was too busy for. */
const maxRepeats = 6

/** Repeats a request while the server says that its database is busy or away: nothing of it was stored, and storing it again changes no more. */
async function patiently<T>(act: () => Promise<T>): Promise<T> {
  for (let repeats = 0; ; repeats++) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof RefusedError) || error.status !== 503) throw error
      if (repeats === maxRepeats) throw new ConfigError(`${error.message}: ${whatToDo}`, { cause: error })
      await delay(500 * 2 ** repeats)
    }
  }
}

async function startTimersOf(call: Call, service_sid: string): Promise<void> {
  let next: { readonly next_after: string | null } | undefined
  while (next?.next_after !== null) {
    next = await call('POST', '/import/timers', { service_sid, ...(next && { after: next.next_after }) })
  }
}

/** Throws InvalidArgumentError. */
function parseKinds(text: string): Kind[] {
  return text.split(',').map((name) => {
    const kind = kinds.find((known) => known === name.trim())
    if (!kind) throw new InvalidArgumentError(`It has to be one or several of ${kinds.join(', ')}, separated by commas.`)
    return kind
  })
}

async function sendFile(config: Config, call: Call, file: string, options: Options): Promise<void> {
  const { media, report, startTimers, dryRun, only = null, receipts } = options
  // Loaded here because the other commands do not need it.
  const { GoneError, importRecords } = await import('../transfer/import.ts')
  const { StoringProgress } = await import('../transfer/progress.ts')
  const { beginningOf, fromStart, keptText, sourceName } = await import('../transfer/resume.ts')
  const { Trial } = await import('../transfer/trial.ts')
  // Whether it can be written is known before the import, which may take hours.
  using faults = new FaultsFile(report)
  const check = async (records: readonly unknown[]) =>
    (await patiently(() => call<{ results: Checked[] }>('POST', '/import/check', { records }))).results
  using trial = dryRun ? new Trial(check) : null
  const { progress, isBar } = await terminalProgress('Stopped. The same command stores the rest.')
  const from = media ?? join(dirname(file), 'media')
  const places = await placesOf(from, config)
  const source = sourceName(file)
  // What decides which lines are stored, and with which files.
  const decided = JSON.stringify({ only, receipts, media: places && from })
  const post = async (records: readonly unknown[], progress: object | null) =>
    (await patiently(() => call<{ results: Applied[] }>('POST', '/import', { records, ...(progress && { progress }) }))).results
  const progressOf = (state: ImportState | null | undefined) => {
    const text = state && keptText(state, decided)
    // What is not kept leaves what was: it is true as well.
    return state === null || text ? { source, state: text } : null
  }
  const store = async ({ file: read, from: before }: Beginning) => {
    const shown = new StoringProgress(progress, isBar, new SystemClock(), read)
    const work = importRecords({
      source: read.chunks,
      media: places,
      send: (records, state) => post(records, progressOf(state)),
      ...(!trial && { resume: { from: before, hashTo: (offset) => read.hashTo(offset) } }),
      startTimers: async (service_sid) => {
        if (startTimers) await startTimersOf(call, service_sid)
      },
      check,
      ...(trial && { trial }),
      choice: { only, receipts },
      faulted: (fault) => faults.add(fault),
      progressed: (lines) => shown.went(lines),
    })
    return work.finally(() => shown.ended())
  }
  const storeAll = async () => {
    const kept = trial ? null : (await call<{ state: string | null }>('GET', `/import/progress/${source}`)).state
    const beginning = await beginningOf(file, kept, decided)
    if (beginning.from) progress.say(`It goes on after line ${beginning.from.line}, where the import before was.`)
    if (beginning.why !== null) progress.say(`It begins anew, not where the import before was: ${beginning.why}.`)
    try {
      return await store(beginning)
    } catch (error) {
      if (!(error instanceof GoneError)) throw error
      progress.say('It begins anew: what the import before had stored is not there any more.')
      return await store(fromStart(file))
    }
  }
  const result = await storeAll()
    .catch((error: unknown) => {
      if (error instanceof MediaStoreError) throw new ConfigError(error.message, { cause: error })
      if (error instanceof ConfigError || !isOfDisk(error)) throw error
      if (isDiskFull(error)) throw new ConfigError(`the disk of the media is full: ${whatToDo}`, { cause: error })
      throw new ConfigError(`${file} was not read to its end, or its media not stored (${codeOf(error)})`, { cause: error })
    })
    .finally(async () => {
      if (typeof places?.to === 'object') await places.to.close()
    })
  if (!trial) await post([], { source, state: null })
  print(result, file)
  if (dryRun) console.log('nothing was stored: run it again without --dry-run')
  if (result.faulty > 0 || (result.compared?.differing.length ?? 0) > 0) process.exitCode = 1
}

/** The file with all faults, for its owner alone; nothing without a path. */
class FaultsFile implements Disposable {
  readonly #path: string | undefined
  readonly #descriptor: number | null

  /** Throws ConfigError. */
  constructor(path: string | undefined) {
    this.#path = path
    this.#descriptor = path === undefined ? null : this.#trying(() => openSync(path, 'w', 0o600))
  }

  /** Throws ConfigError. */
  add(fault: Fault): void {
    const descriptor = this.#descriptor
    if (descriptor !== null) this.#trying(() => writeSync(descriptor, `${JSON.stringify(fault)}\n`))
  }

  #trying<T>(write: () => T): T {
    try {
      return write()
    } catch (error) {
      throw new ConfigError(`${this.#path} cannot be written (${codeOf(error) ?? 'no reason given'})`, { cause: error })
    }
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor)
  }
}

function fileOf(from: string): string {
  const path = resolve(from)
  if (!existsSync(path)) throw new ConfigError(`${from} does not exist`)
  return statSync(path).isDirectory() ? join(path, 'records.jsonl') : path
}

/** Returns whence media come and where the server keeps them; its database names the installation in a bucket. */
async function placesOf(from: string, config: Config): Promise<{ from: string; to: Media } | null> {
  const to = mediaFolder(config)
  if (to === null) return null
  if (config.mediaStore === null) return { from: resolve(from), to }
  const endpoint = await openEndpoint(config.database)
  try {
    await sourceCheck(endpoint, databaseLabel(config.database))
    return { from: resolve(from), to: (await openKeptMedia(config, await mediaMarkerOf(endpoint))) ?? to }
  } finally {
    await endpoint.close()
  }
}

function print({ counts, faults, faulty, compared }: ImportReport, file: string): void {
  const columns = ['read', 'created', 'updated', 'unchanged', 'kept', 'skipped', 'refused'] as const
  console.log(`${'kind'.padEnd(22)}${columns.map((column) => column.padStart(11)).join('')}`)
  for (const kind of kinds) {
    const of = counts.get(kind)
    if (of) console.log(`${kind.padEnd(22)}${columns.map((column) => String(of[column]).padStart(11)).join('')}`)
  }
  for (const { line, kind, fault } of faults.slice(0, maxPrinted)) {
    console.error(printable(`${file}:${line}${kind === '' ? '' : `, ${kind}`}: ${fault}`))
  }
  if (faulty > maxPrinted) console.error(`and ${faulty - maxPrinted} more: --report writes all of them to a file`)
  if (!compared || compared.rows === 0) return
  const { conversations, rows, differing } = compared
  const found = differing.length === 0 ? 'all as they were read' : `${differing.length} not as they were read`
  console.log(`${conversations.length} conversations compared field by field (${rows} records): ${found}`)
  for (const { kind, sid, fields } of differing.slice(0, maxPrinted)) {
    console.error(printable(`${kind} ${sid} differs: ${fields.join(', ')}`))
  }
}
