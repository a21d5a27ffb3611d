import { existsSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Command } from 'commander'
import { SystemClock } from '../clock.ts'
import { type Config, ConfigError, mediaFolder } from '../config.ts'
import { codeOf } from '../errors.ts'
import type { Applied } from '../records/apply.ts'
import { kinds } from '../records/format.ts'
import type { ImportReport } from '../transfer/import.ts'
import { terminalProgress } from './copy.ts'
import { fetchRecords, type HostedOptions, isOfDisk, withHostedOptions } from './import-hosted.ts'
import { asOperator } from './operator.ts'
import type { Call } from './server.ts'
import { configOf, withSettings } from './settings.ts'
import { printable } from './terminal.ts'

interface Options extends HostedOptions {
  readonly from?: string
  readonly fromTwilio?: true
  readonly media?: string
  readonly report?: string
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
    .option('--report <file>', 'write the faults to this file, as JSON lines')
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

async function startTimersOf(call: Call, service_sid: string): Promise<void> {
  let next: { readonly next_after: string | null } | undefined
  while (next?.next_after !== null) {
    next = await call('POST', '/import/timers', { service_sid, ...(next && { after: next.next_after }) })
  }
}

async function sendFile(config: Config, call: Call, file: string, { media, report, startTimers }: Options): Promise<void> {
  // Loaded here because the other commands do not need it.
  const { importRecords } = await import('../transfer/import.ts')
  const { countedFile, StoringProgress } = await import('../transfer/progress.ts')
  // Whether it can be written is known before the import, which may take hours.
  if (report !== undefined) writeReport(report, '')
  const { progress, isBar } = await terminalProgress('Stopped. The same command stores the rest.')
  const source = countedFile(file)
  const shown = new StoringProgress(progress, isBar, new SystemClock(), source)
  const result = await importRecords({
    source: source.chunks,
    media: foldersOf(media ?? join(dirname(file), 'media'), config),
    send: async (records) => (await call<{ results: Applied[] }>('POST', '/import', { records })).results,
    startTimers: async (service_sid) => {
      if (startTimers) await startTimersOf(call, service_sid)
    },
    progressed: (lines) => shown.went(lines),
  })
    .catch((error: unknown) => {
      if (error instanceof ConfigError || !isOfDisk(error)) throw error
      throw new ConfigError(`${file} was not read to its end, or its media not stored (${codeOf(error)})`, { cause: error })
    })
    .finally(() => shown.ended())
  print(result)
  if (report !== undefined) writeReport(report, result.faults.map((fault) => `${JSON.stringify(fault)}\n`).join(''))
  if (result.faulty > 0) process.exitCode = 1
}

/** Throws ConfigError. */
function writeReport(file: string, text: string): void {
  try {
    writeFileSync(file, text, { mode: 0o600 })
  } catch (error) {
    throw new ConfigError(`${file} cannot be written (${codeOf(error) ?? 'no reason given'})`, { cause: error })
  }
}

function fileOf(from: string): string {
  const path = resolve(from)
  if (!existsSync(path)) throw new ConfigError(`${from} does not exist`)
  return statSync(path).isDirectory() ? join(path, 'records.jsonl') : path
}

function foldersOf(from: string, config: Config): { from: string; to: string } | null {
  const to = mediaFolder(config)
  return to === null ? null : { from: resolve(from), to }
}

function print({ counts, faults, faulty }: ImportReport): void {
  const columns = ['read', 'created', 'updated', 'unchanged', 'kept', 'refused'] as const
  console.log(`${'kind'.padEnd(22)}${columns.map((column) => column.padStart(11)).join('')}`)
  for (const kind of kinds) {
    const of = counts.get(kind)
    if (of) console.log(`${kind.padEnd(22)}${columns.map((column) => String(of[column]).padStart(11)).join('')}`)
  }
  for (const { line, kind, fault } of faults.slice(0, maxPrinted)) {
    console.error(printable(`line ${line}${kind === '' ? '' : `, ${kind}`}: ${fault}`))
  }
  const kept = faults.length < faulty ? `the first ${faults.length}` : 'all'
  if (faulty > maxPrinted) console.error(`and ${faulty - maxPrinted} more: --report writes ${kept} to a file`)
}
