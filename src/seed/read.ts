import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { ConfigError } from '../config.ts'
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
  return { source: file, value: kind === '.json' ? parseJson(file, text) : await parseYaml(file, text) }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`the seed ${file} cannot be read (${codeOf(error)})`)
  }
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The message quotes the text, in which there are secrets.
    throw new ConfigError(`the seed ${file} is not JSON`)
  }
}

async function parseYaml(file: string, text: string): Promise<unknown> {
  const { parseDocument } = await import('yaml')
  const document = parseDocument(text, { prettyErrors: false })
  const [error] = document.errors
  if (error) {
    const line = text.slice(0, error.pos[0]).split('\n').length
    throw new ConfigError(`the seed ${file} is not YAML: line ${line} (${error.code})`)
  }
  try {
    return document.toJS()
  } catch (error) {
    throw new ConfigError(`the seed ${file} cannot be used: ${errorOf(error).message}`)
  }
}
