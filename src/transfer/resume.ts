import { createHash, hash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { parseJsonObject } from '../json.ts'
import { packageVersion } from '../package.ts'
import { type ImportState, maxStateChars } from './import-state.ts'
import { type SourceFile, sourceFile } from './source-file.ts'

/** As it is stored with the records. */
interface Kept {
  readonly version: string
  readonly options: string
  readonly state: ImportState
}

/** Returns how an installation calls a file: its path is nobody's business there. */
export function sourceName(path: string): string {
  return hash('sha256', path)
}

/** `options`: what else decides what is stored. Returns null for a state that is too long to be kept, such as one of very many services. */
export function keptText(state: ImportState, options: string): string | null {
  const kept: Kept = { version: packageVersion(), options, state }
  const text = JSON.stringify(kept)
  return text.length > maxStateChars ? null : text
}

/** Where an import begins, and why not where the one before was. */
export interface Beginning {
  readonly file: SourceFile
  readonly from: ImportState | null
  readonly why: string | null
}

/** Returns a file from its first byte on. Throws what `stat` throws. */
export function fromStart(path: string, why: string | null = null): Beginning {
  return { file: sourceFile(path, 0, createHash('sha256')), from: null, why }
}

/**
 * Returns a file from where an import of it was, if what comes before is what it was then. `text`: what that import has kept; null: there
 * was none. Throws what reading throws.
 */
export async function beginningOf(path: string, text: string | null, options: string): Promise<Beginning> {
  if (text === null) return fromStart(path)
  // Of this version it is what `keptText` has made.
  const { version, options: before, state } = (parseJsonObject(text) ?? {}) as Partial<Kept>
  if (version !== packageVersion() || !state) return fromStart(path, 'it was begun by another version of Parley')
  if (before !== options) return fromStart(path, 'it was begun with other options')
  const prefix = createHash('sha256')
  let length = 0
  if (state.offset > 0 && statSync(path).size >= state.offset) {
    for await (const chunk of createReadStream(path, { end: state.offset - 1 }) as AsyncIterable<Buffer>) {
      prefix.update(chunk)
      length += chunk.length
    }
  }
  if (length !== state.offset || prefix.copy().digest('hex') !== state.sha256)
    return fromStart(path, 'the file has changed since')
  return { file: sourceFile(path, state.offset, prefix), from: state, why: null }
}
