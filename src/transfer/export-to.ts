import { createWriteStream, existsSync, readdirSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Config, ConfigError, databaseLabel, mediaFolder, secretFile } from '../config.ts'
import { sourceCheck } from '../copy/inspect.ts'
import { openSnapshot, refuseMemory } from '../copy/open.ts'
import { makeFolder } from '../folders.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import { readIfThere } from '../installation/secrets.ts'
import { isJsonObject } from '../json.ts'
import { syncToDisk } from '../media/files.ts'
import type { Json } from '../records/format.ts'
import { Vault } from '../vault.ts'
import { exportedLines, type Scope } from './export.ts'
import { copyContent } from './media.ts'

export interface ExportToOptions {
  readonly config: Pick<Config, 'database' | 'dataDir' | 'secretKey'>
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
      const vault = vaultOf(config, await sourceCheck(source, databaseLabel(config.database)))
      const run = new Writer(destination, mediaFolder(config))
      const lines = exportedLines({ db: source.db, scope, now, open: (sealed) => vault.open(sealed) })
      await run.write(lines)
      const { records, files, missing } = run
      say(`${records} records and ${files} files of media were exported${destination ? ` to ${out}` : ''}.`)
      if (missing > 0) say(`${missing} files of media were not found in the installation, and are not in the export.`)
      if (!destination) say('The standard output has no media: give a folder with --out to have them.')
    } finally {
      await source.close()
    }
  })
}

function destinationOf(out: string): Destination {
  const path = resolve(out)
  const isFile = path.endsWith('.jsonl')
  if (isFile ? existsSync(path) : existsSync(path) && readdirSync(path).length > 0) {
    throw new ConfigError(`${out} is there already: give the export a name of its own`)
  }
  const folder = isFile ? dirname(path) : path
  makeFolder(folder)
  return { file: isFile ? path : join(path, 'records.jsonl'), media: join(folder, 'media') }
}

/** URLs may have encrypted user names and passwords. */
function vaultOf(config: ExportToOptions['config'], check: string): Vault {
  const key = config.secretKey ?? readIfThere(secretFile(config, 'key'))
  const vault = key === null ? null : new Vault(key)
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
  readonly #from: string | null
  readonly #copied = new Set<string>()

  constructor(destination: Destination | null, from: string | null) {
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
    const draft = `${file}.partial`
    await pipeline(texts, createWriteStream(draft, { mode: 0o600 }))
    await syncToDisk(draft)
    await rename(draft, file)
    await syncToDisk(dirname(file))
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
      const sha256: unknown = isJsonObject(element) ? element.sha256 : undefined
      if (typeof sha256 !== 'string' || !this.#destination || this.#from === null || this.#copied.has(sha256)) continue
      this.#copied.add(sha256)
      if (await copyContent(sha256, this.#from, this.#destination.media)) this.files++
      else this.missing++
    }
  }
}

const chunkChars = 65_536
