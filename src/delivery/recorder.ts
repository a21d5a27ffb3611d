import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import type { DeliveryResult } from './record.ts'
import type { Sleepers } from './sleepers.ts'

/** Between two attempts to record results. */
const retryMs = 1000

export interface RecorderOptions<Report> {
  /** Resolves once the results are on disk. */
  readonly record: (results: readonly DeliveryResult<Report>[]) => Promise<void>
  readonly failed: (error: unknown) => void
  readonly clock: Pick<Clock, 'now'>
  readonly sleepers: Sleepers
  /** Whether results that cannot be recorded are given up: they are read as pending by whoever sends next. */
  readonly isStopped: () => boolean
}

/**
 * Records the results of attempts in batches: each has those that arrived while the previous one was written, and those of one turn of the event
 * loop. Without the latter the first response of a turn was a commit of its own: with 64 connections that create, 46 of 100 commits had
 * nothing but results, and 13 now.
 */
export class Recorder<Report> {
  readonly #options: RecorderOptions<Report>
  #results: { result: DeliveryResult<Report>; recorded: () => void }[] = []
  #recording: Promise<void> | undefined

  constructor(options: RecorderOptions<Report>) {
    this.#options = options
  }

  /** Resolves when all results so far are recorded or given up; undefined when there are none. */
  get recording(): Promise<void> | undefined {
    return this.#recording
  }

  /** Records a delivery as it is after an attempt; `before`: as it was. Calls `recorded` once it is on disk. */
  add(row: DeliveryRow, before: Pick<DeliveryRow, 'responses'>, report: Report | undefined, recorded: () => void): void {
    const { service_sid, id, status, due, attempts, date_finished, responses } = row
    const result = {
      ...{ service_sid, id, status, due, attempts, date_finished, responses, responses_before: before.responses },
      ...(report !== undefined && { report }),
    }
    this.#results.push({ result, recorded })
    this.#recording ??= this.#write()
  }

  async #write(): Promise<void> {
    const { record, failed, clock, sleepers, isStopped } = this.#options
    while (this.#results.length > 0) {
      await nextTurn()
      const results = this.#results
      this.#results = []
      try {
        await record(results.map(({ result }) => result))
        for (const { recorded } of results) recorded()
      } catch (error) {
        failed(error)
        // Those that have arrived meanwhile are tried once, too.
        if (isStopped()) continue
        this.#results = [...results, ...this.#results]
        await sleepers.until(clock.now() + retryMs, isStopped)
      }
    }
    // Here, not once this has resolved: a result that arrives in between would wait for the next one.
    this.#recording = undefined
  }
}
