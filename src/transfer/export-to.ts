import { createWriteStream, existsSync, readdirSync, statSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { mediaMarkerOf, sourceCheck } from '../copy/inspect.ts'
import { openSnapshot, refuseMemory } from '../copy/open.ts'
import { mediaFolder } from '../data-folders.ts'
import { codeOf } from '../errors.ts'
import { makeFolder } from '../folders.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import { openKeptMedia } from '../installation/kept-media.ts'
import { storedVault } from '../installation/secrets.ts'
import { isJsonObject } from '../json.ts'
import { syncToDisk } from '../media/files.ts'
import type { MediaConfig } from '../media/open.ts'
import type { Json } from '../records/format.ts'
import { databaseLabel } from '../setting-values.ts'
import type { Vault } from '../vault.ts'
import { exportedLines, type Scope } from './export.ts'
import { copyContent, type Media } from './media.ts'

export interface ExportToOptions {
  readonly config: MediaConfig & Pick<Config, 'secretKey' | 'previousSecretKey'>
  readonly scope: Scope
  /** A folder, a file `….jsonl`, or null for the standard output. */
  readonly out: string | null
  /** Epoch ms. */
  readonly now: number
  readonly say: (sentence: string) => void
}

/** Where an export is written: its records, and its media; null on the standard output. */
interface Destination {
  readonly file: string
  readonly media: string
}

/**
 * Exports what a snapshot of the database holds, whose servers may be running. The file has its name when it is complete. Throws
 * ConfigError.
 */
export async function exportTo({ config, scope, out, now, say }: ExportToOptions): Promise<void> {
  refuseMemory(config.database, 'PARLEY_DATABASE_URL')
  const destination = out === null ? null : destinationOf(out)
  await explainErrors(config, async () => {
    const source = await openSnapshot(config.database)
    try {
      const check = await sourceCheck(source, databaseLabel(config.database))
      const vault = vaultOf(config, check)
      const kept = destination && (await openKeptMedia(config, await mediaMarkerOf(source)))
      const run = new Writer(destination, kept ?? mediaFolder(config))
      const lines = exportedLines({ db: source.db, scope, now, open: (sealed) => vault.open(sealed) })
      await run.write(lines).finally(() => kept?.close())
      const { records, files, missing } = run
      say(`${records} records and ${files} files of media were exported${destination ? ` to ${out}` : ''}.`)
      if (missing > 0) say(`${missing} files of media were not found in the installation, and are not in the export.`)
      if (!destination) say('The standard output has no media: give a folder with --out to have them.')
    } finally {
      await source.close()
    }
  })
}

/** Throws ConfigError for a place that has something else in it than an interrupted export, and for one that cannot be made. */
function destinationOf(out: string): Destination {
  const path = resolve(out)
  const isFile = path.endsWith('.jsonl')
  const folder = isFile ? dirname(path) : path
  const file = isFile ? path : join(path, 'records.jsonl')
  if (existsSync(path) && (isFile || !isUnfinished(path, basename(draftOf(file))))) {
    throw new ConfigError(`${out} is there already: give the export a name of its own`)
  }
  try {
    makeFolder(folder)
  } catch (error) {
    throw unwritable(folder, error)
  }
  return { file, media: join(folder, 'media') }
}

/** Whether a folder has nothing in it, or what an interrupted export has left: that is written anew, but for media that are there. */
function isUnfinished(folder: string, draft: string): boolean {
  if (!statSync(folder).isDirectory()) return false
  const names = readdirSync(folder)
  return names.length === 0 || (names.includes(draft) && names.every((name) => name === draft || name === 'media'))
}

/** Returns where a file is written until it is complete. */
function draftOf(file: string): string {
  return `${file}.partial`
}

function unwritable(place: string, error: unknown): ConfigError {
  return new ConfigError(`${place} cannot be written (${codeOf(error) ?? 'no reason given'})`, { cause: error })
}

/** Whether an error is of the place that is written to. A full disk names no place, and reading needs no room. */
function isOf({ file }: Destination, error: unknown): boolean {
  const path = error instanceof Error && 'path' in error ? String(error.path) : ''
  return codeOf(error) === 'ENOSPC' || path.startsWith(dirname(file))
}

/** URLs may have encrypted user names and passwords. */
function vaultOf(config: ExportToOptions['config'], check: string): Vault {
  const vault = storedVault(config)
  if (!vault?.matchesCheck(check)) {
    throw new ConfigError('the secret key is not the one that this database was created with: set PARLEY_SECRET_KEY')
  }
  return vault
}

class Writer {
  records = 0
  files = 0
  missing = 0
  readonly #destination: Destination | null
  readonly #from: Media | null
  readonly #copied = new Set<string>()

  constructor(destination: Destination | null, from: Media | null) {
    this.#destination = destination
    this.#from = from
  }

  async write(lines: AsyncIterable<Json>): Promise<void> {
    const texts = Readable.from(this.#texts(lines), { objectMode: false })
    if (!this.#destination) {
      await pipeline(texts, process.stdout, { end: false })
      return
    }
    const { file } = this.#destination
    const draft = draftOf(file)
    try {
      await pipeline(texts, createWriteStream(draft, { mode: 0o600 }))
      await syncToDisk(draft)
      await rename(draft, file)
      await syncToDisk(dirname(file))
    } catch (error) {
      throw isOf(this.#destination, error) ? unwritable(file, error) : error
    }
  }

  /** Some lines at a time: a chunk for each would cost more than its making. */
  async *#texts(lines: AsyncIterable<Json>): AsyncGenerator<string> {
    let text = ''
    for await (const line of lines) {
      if (line.kind !== 'header' && line.kind !== 'end') this.records++
      if (line.kind === 'message') await this.#media(line)
      text += `${JSON.stringify(line)}\n`
      if (text.length < chunkChars) continue
      yield text
      text = ''
    }
    yield text
  }

  async #media({ extra }: Json): Promise<void> {
    const media = isJsonObject(extra) && Array.isArray(extra.media) ? extra.media : []
    for (const element of media) {
      const { sha256, size }: Json = isJsonObject(element) ? element : {}
      if (typeof sha256 !== 'string' || !this.#destination || this.#from === null || this.#copied.has(sha256)) continue
      this.#copied.add(sha256)
      if (await copyContent({ sha256, size: Number(size) }, this.#from, this.#destination.media)) this.files++
      else this.missing++
    }
  }
}

const chunkChars = 65_536
