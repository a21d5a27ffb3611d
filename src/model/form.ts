import { parse } from 'node:querystring'
import { refuse } from '../errors.ts'

/** Far above the parameters of any official operation, and still cheap to parse. */
export const max_params = 1000

type Pairs = Readonly<Record<string, string | string[] | undefined>>

/** Name-value pairs of a form body or a query string. */
export class Form {
  readonly #pairs: Pairs
  constructor(pairs: Pairs) {
    this.#pairs = pairs
  }

  /** Returns the value of a name, the last one if it is repeated. Undefined when absent; an empty text is a value. */
  last(name: string): string | undefined {
    const value = this.#pairs[name]
    return typeof value === 'object' ? value.at(-1) : value
  }

  /** Returns all values of a repeated name, in order. */
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
  if (pairs > max_params) throw refuse('invalidParameter', { text: `More than ${max_params} parameters` })
  return new Form(parse(text, '&', '=', { maxKeys: 0 }))
}
