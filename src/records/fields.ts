import { ApiError } from '../errors.ts'
import { isJsonObject } from '../json.ts'
import type { AnyResource } from '../model/declare.ts'
import { type Param, type Params, snakeCase } from '../model/params.ts'
import { isSid, type SidKind } from '../sids.ts'
import { type Json, RecordError } from './format.ts'

/** Parameters by name, as a request has them when they are parsed. */
export type Given = Readonly<Record<string, unknown>>

/** Keys of responses that are not the names of their parameters. */
const otherKeys: Readonly<Record<string, string>> = { Permission: 'permissions' }

/** Returns the key that responses have for a parameter; in an object within, both, with a dot between. */
export function keyOf(name: string): string {
  return otherKeys[name] ?? name.split('.').map(snakeCase).join('.')
}

/**
 * Returns what a response shows as the parameters of a request, each checked by the declaration of the resource. What is null is
 * given as an empty text, which unsets it, where that means so. Throws RecordError for the first that would be refused.
 */
export function paramsOf(resource: AnyResource, json: Json): Given {
  const declared: Params = resource.params
  const given: Record<string, unknown> = {}
  for (const [name, param] of Object.entries(declared)) {
    const path = keyOf(name)
    const value = at(json, path)
    if (value === undefined) continue
    if (value === null) {
      if (unsets(param)) given[name] = null
    } else given[name] = parsed(param, `resource.${path}`, value)
  }
  return given
}

function unsets(param: Param<unknown>): boolean {
  try {
    return param.parse('', ['']) === null
  } catch (error) {
    if (error instanceof ApiError) return false
    throw error
  }
}

function at(json: Json, path: string): unknown {
  let value: unknown = json
  for (const key of path.split('.')) value = isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  return value
}

/** Parses a value as the parameter does. Throws RecordError. */
export function parsed<T>(param: Param<T>, place: string, value: unknown): T {
  const texts = textsOf(param, value)
  if (!texts) throw new RecordError(`${place} must be ${param.several ? 'a list of texts' : 'a text'} (${param.kind})`)
  try {
    return param.parse(texts.at(-1) ?? '', texts)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    throw new RecordError(`${place} is refused: ${error.message} (${param.kind})`)
  }
}

/** Returns what is given as the texts of a form; undefined when it has another type. */
function textsOf({ several, scalar }: Param<unknown>, value: unknown): string[] | undefined {
  const all = several ? [value].flat() : [value]
  return all.every((one) => typeof one === 'string' || typeof one === scalar) ? all.map(String) : undefined
}

/** Reads the keys of an object that no parameter stands for. Throws RecordError where one has another form. */
export class Fields {
  readonly #json: Json
  readonly #place: string

  constructor(json: Json, place: string) {
    this.#json = json
    this.#place = place
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#json, key)
  }

  sid(key: string, kind: SidKind): string {
    const value = this.#json[key]
    if (typeof value !== 'string' || !isSid(kind, value)) throw this.wrong(key, 'must be a SID of its kind')
    return value
  }

  sidOrNull(key: string, kind: SidKind): string | null {
    return this.#isNull(key) ? null : this.sid(key, kind)
  }

  /** A whole number from `min` on. */
  integer(key: string, min = 0): number {
    const value = this.#json[key]
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min) {
      throw this.wrong(key, `must be a whole number from ${min} on`)
    }
    return value
  }

  integerOrNull(key: string, min = 0): number | null {
    return this.#isNull(key) ? null : this.integer(key, min)
  }

  /** A date in epoch ms, of a year with four digits. */
  ms(key: string): number {
    const value = this.integer(key, -62_167_219_200_000)
    if (value > 253_402_300_799_999) throw this.wrong(key, 'must be a date in ms before the year 10000')
    return value
  }

  msOrNull(key: string): number | null {
    return this.#isNull(key) ? null : this.ms(key)
  }

  /** `max`: in characters. */
  text(key: string, max: number): string {
    const value = this.#json[key]
    if (typeof value !== 'string' || value.length > max) throw this.wrong(key, `must be a text of at most ${max} characters`)
    return value
  }

  textOrNull(key: string, max: number): string | null {
    return this.#isNull(key) ? null : this.text(key, max)
  }

  word<const W extends string>(key: string, words: readonly W[]): W {
    const found = words.find((word) => word === this.#json[key])
    if (found === undefined) throw this.wrong(key, `must be one of ${words.join(', ')}`)
    return found
  }

  list(key: string): readonly unknown[] {
    const value = this.#json[key]
    if (!Array.isArray(value)) throw this.wrong(key, 'must be a list')
    return value
  }

  object(key: string): Json | null {
    const value = this.#json[key]
    if (this.#isNull(key)) return null
    if (!isJsonObject(value)) throw this.wrong(key, 'must be an object')
    return value
  }

  wrong(key: string, sentence: string): RecordError {
    return new RecordError(`${this.#place}.${key} ${sentence}`)
  }

  #isNull(key: string): boolean {
    return this.#json[key] === undefined || this.#json[key] === null
  }
}
