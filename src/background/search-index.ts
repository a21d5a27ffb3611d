import { setImmediate as turn } from 'node:timers/promises'
import { Loop, type Worker } from '../loop.ts'
import type { searchCommands } from '../model/search-backfill.ts'
import type { Database } from '../storage/database.ts'

/** Rows per transaction: requests wait at most for one batch. */
const batch = 250

const dayMs = 86_400_000

export interface SearchIndexOptions {
  readonly database: Database<ReturnType<typeof searchCommands>>
  /** False: the index is deleted. */
  readonly searchable: boolean
  readonly onError: (error: unknown) => void
}

/** Makes rows findable that were written by a version without the index, or while it was switched off. Deletes it when it is. */
export class SearchIndex implements Worker {
  readonly #loop: Loop
  #again = false

  constructor({ database, searchable, onError }: SearchIndexOptions) {
    this.#loop = new Loop(async (signal) => {
      if (this.#again) await database.write('indexAgain', null)
      this.#again = false
      const command = searchable ? 'indexSome' : 'deleteDocuments'
      while (!signal.aborted && (await database.write(command, { limit: batch }))) await turn()
      // What is not built today is tried again: searches are slower meanwhile.
      if (searchable) await database.buildIndex?.(signal).catch(onError)
      return dayMs
    }, onError)
    database.subscribe((notices) => {
      if (!notices.some(({ topic }) => topic === 'emptied')) return
      // A snapshot has rows, but not their words.
      this.#again = true
      this.#loop.nudge()
    })
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }
}
