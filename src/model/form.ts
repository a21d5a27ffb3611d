import { parse } from 'node:querystring'
import { refuse } from '../errors.ts'

/** More names than any official operation has, few enough that parsing them costs nothing. */
export const most_params = 1000

type Pairs = Readonly<Record<string, string | string[] | undefined>>

/** Name-value pairs of a form body or a query string. */
export class Form {
  readonly #pairs: Pairs
  constructor(pairs: Pairs) {
    this.#pairs = pairs
  }

  /** The value of a scalar: of a repeated one, the last. Undefined when absent; empty is a value. */
  last(name: string): string | undefined {
    const value = this.#pairs[name]
    return typeof value === 'object' ? value.at(-1) : value
  }

  /** Every value of a repeated name, in order. */
  all(name: string): readonly string[] {
    const value = this.#pairs[name]
    if (value === undefined) return []
    return typeof value === 'object' ? value : [value]
  }
}

export const emptyForm = new Form(parse(''))

/** Reads `a=1&b=x+y&a=2`. Throws ApiError when there are too many pairs. */
export function parseForm(text: string): Form {
  if (text === '') return emptyForm
  let pairs = 1
  for (let at = text.indexOf('&'); at !== -1; at = text.indexOf('&', at + 1)) pairs++
  if (pairs > most_params) throw refuse('invalidParameter', { text: `More than ${most_params} parameters` })
  return new Form(parse(text, '&', '=', { maxKeys: 0 }))
}
