import { isJsonObject } from '../json.ts'
import type { Applied } from '../records/apply.ts'
import type { Checked } from '../records/check.ts'
import { checkHeader, type Json, type Kind, kinds, type RecordLine, recordOf } from '../records/format.ts'
import { type Choice, Chooser } from './choice.ts'
import { type Counts, type Fault, type ImportState, maxKeptFaults } from './import-state.ts'
import { faultOf, type Line, linesIn } from './lines.ts'
import { copyContent, hasContent, type Media } from './media.ts'
import { type Compared, Sample } from './sample.ts'
import type { Trial } from './trial.ts'

/** Records of a request: a transaction of so many does not hold up others for long. */
const batchRecords = 500
const batchBytes = 4_194_304

/** Faults that are kept; all of them are counted. */
const maxFaults = 10_000

export interface ImportOptions {
  /** JSON lines: a file, or its bytes. */
  readonly source: string | AsyncIterable<Uint8Array>
  /** The folder of the file's media, and where they are put. Null: files are left out. */
  readonly media: { readonly from: string; readonly to: Media } | null
  /**
   * Stores records. `state`: how far the import was before them, stored in the same transaction in place of what was stored of it before;
   * null: nothing is known of that yet; undefined: what is stored stays. Returns what became of each.
   */
  readonly send: (records: readonly unknown[], state: ImportState | null | undefined) => Promise<readonly Applied[]>
  /** For imports that are gone on with. */
  readonly resume?: {
    /** Where the source begins; null: with the file. */
    readonly from: ImportState | null
    /** Returns the SHA-256 of the first bytes of the file: up to a line that has been read. */
    readonly hashTo: (offset: number) => string
  }
  /** Starts the timers of a service. */
  readonly startTimers: (service_sid: string) => Promise<void>
  /** Says what would become of records, one by one. */
  readonly check: (records: readonly unknown[]) => Promise<readonly Checked[]>
  /** Stores nothing, and says what would become of it. */
  readonly trial?: Trial
  /** By default everything is stored. */
  readonly choice?: Choice
  /** From 0 up to 1: chooses the conversations that are compared. */
  readonly random?: () => number
  /** Called with each fault, also with those that the report has not. */
  readonly faulted?: (fault: Fault) => void
  /** Called with the number of lines that have been read. */
  readonly progressed?: (lines: number) => void
}

export interface ImportReport {
  readonly counts: ReadonlyMap<Kind, Readonly<Counts>>
  /** The first of them. */
  readonly faults: readonly Fault[]
  readonly faulty: number
  /** What the file says of itself; null when it ends before. */
  readonly announced: Json | null
  /** A few conversations, as they were stored; null when nothing was. */
  readonly compared: Compared | null
}

/**
 * Stores the records of a file, in batches. What is wrong with a line is reported and leaves nothing of its object; the others are
 * taken. An import that was interrupted is gone on with, or done again: what is there is left as it is. Timers start when all is there.
 * Throws GoneError.
 */
export async function importRecords(options: ImportOptions): Promise<ImportReport> {
  const run = new ImportRun(options)
  await run.all()
  return run.report
}

/** What an earlier import has stored is not there any more: this one has to begin with the file. */
export class GoneError extends Error {
  override readonly name = 'GoneError'
}

interface Waiting {
  readonly line: number
  readonly kind: Kind
  readonly value: unknown
}

class ImportRun {
  readonly #options: ImportOptions
  readonly #counts = new Map<Kind, Counts>()
  readonly #faults: Fault[] = []
  readonly #services = new Set<string>()
  readonly #chooser: Chooser
  readonly #sample: Sample
  #compared: Compared | null = null
  #faulty = 0
  #announced: Json | null = null
  /** Whether a line has been read. Empty ones do not count. */
  #isBegun: boolean
  /** How far it was before the batch that waits; null: nowhere, or it is not to be gone on with from there. */
  #state: ImportState | null
  #isFirstBatch = true
  /** Those of an import that may turn out not to be this one; null: they are reported at once. */
  #held: Fault[] | null = null
  #waiting: Waiting[] = []
  #bytes = 0

  constructor(options: ImportOptions) {
    this.#options = options
    const from = options.resume?.from ?? null
    this.#state = from
    this.#isBegun = from !== null
    this.#chooser = new Chooser(options.choice ?? { only: null, receipts: 'all' }, from?.conversation)
    this.#sample = new Sample(options.random ?? Math.random)
    if (!from) return
    this.#held = []
    for (const [kind, counts] of from.counts) this.#counts.set(kind, { ...counts })
    for (const { line, kind, fault } of from.faults) this.#fault(line, kind, fault)
    for (const service of from.services) this.#services.add(service)
  }

  get report(): ImportReport {
    return {
      counts: this.#counts,
      faults: this.#faults,
      faulty: this.#faulty,
      announced: this.#announced,
      compared: this.#compared,
    }
  }

  async all(): Promise<void> {
    const { source, startTimers, progressed, trial, check } = this.#options
    let last = this.#state?.line ?? 0
    for await (const line of linesIn(source, this.#state ?? undefined)) {
      last = line.number
      if (!(await this.#line(line))) return
      if (this.#waiting.length >= batchRecords || this.#bytes >= batchBytes) {
        await this.#send()
        this.#state = this.#stateAt(line)
        progressed?.(last)
      }
    }
    await this.#send()
    this.#release()
    if (last === 0) this.#fault(1, '', 'the file is empty')
    else if (!this.#announced) this.#fault(last, '', 'the file ends here without its last line: it is not complete')
    else this.#compare(last, this.#announced)
    if (!trial) {
      // Before timers change them.
      this.#compared = await this.#sample.compare(check)
      for (const service_sid of this.#services) await startTimers(service_sid)
    }
    progressed?.(last)
  }

  /** Returns false when nothing of the file can be taken. */
  async #line(line: Line): Promise<boolean> {
    const { number } = line
    const isFirst = !this.#isBegun
    this.#isBegun = true
    if ('fault' in line) {
      this.#fault(number, '', line.fault)
      return !isFirst
    }
    const { value } = line
    if (isFirst) {
      const fault = faultOf(() => checkHeader(value))
      if (fault !== undefined) this.#fault(number, 'header', fault)
      return fault === undefined
    }
    if (this.#announced) {
      this.#fault(number, '', 'it comes after the last line')
      return true
    }
    if (isJsonObject(value) && value.kind === 'end') {
      this.#announced = isJsonObject(value.counts) ? value.counts : {}
      return true
    }
    let record: RecordLine | undefined
    const fault = faultOf(() => {
      record = recordOf(value)
    })
    if (!record) {
      this.#fault(number, kindOf(value), fault ?? '')
      return true
    }
    const { kind, chat_service_sid } = record
    const counts = this.#countsOf(kind)
    counts.read++
    // A file has no secrets, and without them no channel works: the operator creates it.
    if (kind === 'channel' || !this.#chooser.takes(record)) {
      counts.skipped++
      return true
    }
    if (chat_service_sid !== null) this.#services.add(chat_service_sid)
    const sent = await this.#withMedia(number, record)
    this.#sample.offer(record, sent)
    this.#waiting.push({ line: number, kind, value: sent })
    this.#bytes += line.bytes
    return true
  }

  /** Brings the files of a message. One that cannot be had is left out, and the message has it without its bytes. */
  async #withMedia(line: number, record: RecordLine): Promise<unknown> {
    const { media } = record.extra
    if (record.kind !== 'message' || !Array.isArray(media)) return record
    const { media: folders, trial } = this.#options
    const bring = (sha256: string, { from, to }: { from: string; to: Media }) =>
      trial ? hasContent(sha256, from) : copyContent({ sha256, size: 0 }, from, to)
    const brought: unknown[] = []
    for (const element of media) {
      const sha256 = isJsonObject(element) ? element.sha256 : undefined
      const isThere = typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256) || (folders && (await bring(sha256, folders)))
      if (isThere) brought.push(element)
      else {
        const { sha256: _sha256, ...rest } = element
        brought.push(rest)
        this.#fault(line, 'media', `the file of ${String(rest.sid).slice(0, 34)} is not there: its message is without it`)
      }
    }
    return { ...record, extra: { ...record.extra, media: brought } }
  }

  async #send(): Promise<void> {
    const waiting = this.#waiting
    if (waiting.length === 0) return
    this.#waiting = []
    this.#bytes = 0
    const { trial, send } = this.#options
    const values = waiting.map(({ value }) => value)
    const lines = waiting.map(({ line }) => line)
    // Until they are known to have been there, or are the first of the file, nothing says that what comes before is stored.
    const state = this.#isFirstBatch ? null : (this.#state ?? undefined)
    this.#isFirstBatch = false
    const results = await (trial ? trial.of(values, lines) : send(values, state))
    // They were stored with the state: if they are not there, nothing of what comes before may be.
    if (this.#held && results.some((result) => 'outcome' in result && result.outcome === 'created')) throw new GoneError()
    this.#release()
    for (const [i, { line, kind }] of waiting.entries()) {
      const result = results[i] ?? { refused: 'the server has not answered' }
      const counts = this.#countsOf(kind)
      if ('outcome' in result) counts[result.outcome]++
      else {
        counts.refused++
        this.#fault(line, kind, result.refused)
      }
    }
  }

  /** Returns how far it is after a line, up to which everything is stored. */
  #stateAt({ number, end }: Line): ImportState | null {
    const { resume } = this.#options
    if (!resume || this.#faulty > maxKeptFaults) return null
    return {
      line: number,
      offset: end,
      sha256: resume.hashTo(end),
      counts: [...this.#counts].map(([kind, counts]) => [kind, { ...counts }] as const),
      faults: [...this.#faults],
      services: [...this.#services],
      conversation: this.#chooser.conversation,
    }
  }

  /** From now on faults are reported as they come. */
  #release(): void {
    const held = this.#held ?? []
    this.#held = null
    for (const fault of held) this.#options.faulted?.(fault)
  }

  /** Compares what was read with what the file announces. */
  #compare(line: number, announced: Json): void {
    for (const kind of kinds) {
      const [read, said] = [this.#counts.get(kind)?.read ?? 0, announced[kind] ?? 0]
      if (read !== said) this.#fault(line, kind, `the file should have ${String(said).slice(0, 20)} of it, and has ${read}`)
    }
  }

  #countsOf(kind: Kind): Counts {
    let counts = this.#counts.get(kind)
    if (!counts) {
      counts = { read: 0, created: 0, updated: 0, unchanged: 0, kept: 0, skipped: 0, refused: 0 }
      this.#counts.set(kind, counts)
    }
    return counts
  }

  #fault(line: number, kind: string, fault: string): void {
    this.#faulty++
    if (this.#held) this.#held.push({ line, kind, fault })
    else this.#options.faulted?.({ line, kind, fault })
    if (this.#faults.length < maxFaults) this.#faults.push({ line, kind, fault })
  }
}

function kindOf(value: unknown): string {
  return isJsonObject(value) && typeof value.kind === 'string' ? value.kind.slice(0, 32) : ''
}
