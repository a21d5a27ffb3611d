import { open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError } from '../config-error.ts'
import { codeOf } from '../errors.ts'
import { makeFolder } from '../folders.ts'
import { isJsonObject } from '../json.ts'
import { syncToDisk } from '../media/files.ts'
import { isSid } from '../sids.ts'
import type { ErasureRow } from '../storage/schema.ts'

/** What is kept of an erasure beside the database: enough to recognise the person, and not to name them. */
export type Entry = Pick<ErasureRow, 'id' | 'account_sid' | 'messages' | 'subject' | 'subject_hash' | 'pseudonym'>

/**
 * The erasures that were done, in a file beside the database: a backup that is restored has those of a later time no more, and has the
 * persons again.
 */
export class Ledger {
  readonly #file: string

  constructor(file: string) {
    this.#file = file
  }

  /** Returns the entries. A line that was cut off by a crash is left out: its erasure was not done. Throws ConfigError. */
  async entries(): Promise<readonly Entry[]> {
    const text = await readFile(this.#file, 'utf8').catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return ''
      throw new ConfigError(`${this.#file} cannot be read (${codeOf(error) ?? 'no reason given'})`, { cause: error })
    })
    return text.split('\n').flatMap((line) => entryOf(line) ?? [])
  }

  /** Adds an erasure. It is on disk then. */
  async add({ id, account_sid, messages, subject, subject_hash, pseudonym }: Entry): Promise<void> {
    const entry: Entry = { id, account_sid, messages, subject, subject_hash, pseudonym }
    const folder = dirname(this.#file)
    makeFolder(folder)
    const file = await open(this.#file, 'a', 0o600)
    try {
      // Behind the part of a line, if there is one.
      // All of it, or an error: a single write to a full disk may end in the middle.
      await file.writeFile(`\n${JSON.stringify(entry)}\n`)
      await file.datasync()
    } finally {
      await file.close()
    }
    // The name of a new file, too, is on disk then.
    await syncToDisk(folder)
  }
}

function entryOf(line: string): Entry | undefined {
  if (line === '') return undefined
  try {
    const value: unknown = JSON.parse(line)
    if (!isJsonObject(value)) return undefined
    const { id, account_sid, messages, subject, subject_hash, pseudonym } = value
    if (typeof id !== 'string' || !isSid('erasure', id)) return undefined
    if (typeof account_sid !== 'string' || typeof subject_hash !== 'string' || typeof pseudonym !== 'string') return undefined
    if (messages !== 'redact' && messages !== 'delete') return undefined
    if (subject !== 'identity' && subject !== 'address') return undefined
    return { id, account_sid, messages, subject, subject_hash, pseudonym }
  } catch {
    return undefined
  }
}
