import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { ConfigError } from '../config-error.ts'
import { codeOf, errorOf } from '../errors.ts'

/** A seed as it was given, and where it comes from, for messages. */
export interface Seed {
  readonly source: string
  readonly value: unknown
}

/** Reads a seed from a file: JSON, or YAML by the ending of its name. Throws ConfigError. */
export async function readSeed(file: string): Promise<Seed> {
  const kind = extname(file).toLowerCase()
  if (!['.json', '.yaml', '.yml'].includes(kind)) throw new ConfigError(`the seed ${file} must end in .json, .yaml or .yml`)
  const text = textOf(file)
  return { source: file, value: await (kind === '.json' ? parseJson : parseSeed)(file, text) }
}

function textOf(file: string): string {
  try {
    // Without the byte order mark that some editors put first.
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file))
  } catch (error) {
    if (error instanceof TypeError) throw new ConfigError(`the seed ${file} is not UTF-8: save it in that encoding`)
    throw new ConfigError(`the seed ${file} cannot be read (${codeOf(error)})`)
  }
}

async function parseJson(file: string, text: string): Promise<unknown> {
  const value = jsonOf(file, text)
  const { parseDocument } = await import('yaml')
  // Every JSON text is YAML, whose parser sees that a key is there twice.
  const twice = parseDocument(text, { prettyErrors: false }).errors.find(({ code }) => code === 'DUPLICATE_KEY')
  if (twice) throw keyTwice(file, text, twice.pos[0])
  return value
}

function jsonOf(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const line = lineOfJsonError(text, errorOf(error))
    // The message itself quotes the text, in which there are secrets.
    throw new ConfigError(`the seed ${file} is not JSON${line === undefined ? '' : `: line ${line}`}`)
  }
}

/** Returns where JSON ends to be JSON. Messages of the engine say so, but for those of an unexpected token. */
function lineOfJsonError(text: string, { message }: Error): number | undefined {
  const position = / at position (\d+)/.exec(message)?.[1]
  if (position !== undefined) return lineAt(text, Number(position))
  const lines = text.split('\n')
  if (!message.startsWith('Unexpected token')) return lines.length
  // The first lines alone are only not complete: the same token is unexpected from its line on.
  let [from, to] = [1, lines.length]
  while (from < to) {
    const middle = Math.floor((from + to) / 2)
    if (isUnexpected(lines.slice(0, middle).join('\n'))) to = middle
    else from = middle + 1
  }
  return from
}

function isUnexpected(text: string): boolean {
  try {
    JSON.parse(text)
    return false
  } catch (error) {
    return errorOf(error).message.startsWith('Unexpected token')
  }
}

function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length
}

function keyTwice(file: string, text: string, position: number): ConfigError {
  return new ConfigError(`the seed ${file} has a key twice in the same object: line ${lineAt(text, position)}`)
}

/** Returns what a text says that is YAML, or JSON, which is YAML. `file`: for messages, in which nothing of the text is. Throws ConfigError. */
export async function parseSeed(file: string, text: string): Promise<unknown> {
  const { parseDocument } = await import('yaml')
  try {
    const document = parseDocument(text, { prettyErrors: false })
    const [error] = document.errors
    if (error?.code === 'DUPLICATE_KEY') throw keyTwice(file, text, error.pos[0])
    if (error) throw new ConfigError(`the seed ${file} is not YAML: line ${lineAt(text, error.pos[0])} (${error.code})`)
    return document.toJS()
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError(`the seed ${file} cannot be used: ${errorOf(error).message}`)
  }
}
