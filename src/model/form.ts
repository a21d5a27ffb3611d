import { refuse } from '../errors.ts'

/** Far above the parameters of any official operation, and still cheap to parse. */
export const maxParams = 1000

/** Name-value pairs of a form body or a query string. */
export interface Form {
  /** Encoded. */
  readonly text: string
  /** Returns the value of a name, the last one if it is repeated. Undefined when absent; an empty text is a value. */
  last(name: string): string | undefined
  /** Returns all values of a repeated name, in order. */
  all(name: string): readonly string[]
}

const nothing: readonly string[] = []

/** A form of values that are not encoded. */
export function formOf(values: Readonly<Record<string, string | readonly string[]>>): Form {
  const all = (name: string): readonly string[] => {
    const value = Object.hasOwn(values, name) ? values[name] : nothing
    return typeof value === 'string' ? [value] : (value ?? nothing)
  }
  return {
    get text() {
      const pairs = Object.keys(values).flatMap((name) => all(name).map((value): [string, string] => [name, value]))
      return new URLSearchParams(pairs).toString()
    },
    all,
    last: (name) => all(name).at(-1),
  }
}

export const emptyForm: Form = formOf({})

/** Reads `a=1&b=x+y&a=2`. Throws ApiError when there are too many pairs. */
export function parseForm(text: string): Form {
  return text === '' ? emptyForm : new EncodedForm(text)
}

/** No parameter has a name that is longer, encoded: such a pair is skipped. */
const maxName = 1024

const [percent, plus] = Buffer.from('%+')

/**
 * Finds the pairs in one pass and decodes a value when it is asked for: what nobody asks for costs no more than its length, in
 * time and in memory.
 */
class EncodedForm implements Form {
  readonly text: string
  readonly #names: string[] = []
  /** Where the value of each name starts and ends. */
  readonly #starts: number[] = []
  readonly #ends: number[] = []

  constructor(text: string) {
    this.text = text
    let count = 0
    let equals = text.indexOf('=')
    for (let start = 0; start <= text.length; count++) {
      if (count === maxParams) throw refuse('invalidParameter', { text: `More than ${maxParams} parameters` })
      const separator = text.indexOf('&', start)
      const end = separator === -1 ? text.length : separator
      // Searched for once, not again for each pair to the end of the text.
      if (equals !== -1 && equals < start) equals = text.indexOf('=', start)
      this.#add(start, equals === -1 || equals > end ? end : equals, end)
      start = end + 1
    }
  }

  #add(start: number, equals: number, end: number): void {
    if (start === end || equals - start > maxName) return
    this.#names.push(decode(this.text.slice(start, equals)))
    this.#starts.push(equals + 1)
    this.#ends.push(end)
  }

  last(name: string): string | undefined {
    const at = this.#names.lastIndexOf(name)
    return at === -1 ? undefined : this.#value(at)
  }

  all(name: string): readonly string[] {
    let at = this.#names.indexOf(name)
    if (at === -1) return nothing
    const values: string[] = []
    for (; at !== -1; at = this.#names.indexOf(name, at + 1)) values.push(this.#value(at))
    return values
  }

  #value(at: number): string {
    return decode(this.text.slice(this.#starts[at], this.#ends[at]))
  }
}

/** Short texts are decoded by the engine; of long ones its memory would be forty times their size. */
const shortText = 1024

/** Decodes as a browser does: what is no encoding stays, bytes that are no UTF-8 are replaced. */
function decode(text: string): string {
  const spaced = text.includes('+')
  if (!spaced && !text.includes('%')) return text
  if (text.length > shortText) return decodeBytes(text)
  try {
    return decodeURIComponent(spaced ? text.replaceAll('+', ' ') : text)
  } catch {
    return decodeBytes(text)
  }
}

function decodeBytes(text: string): string {
  const bytes = Buffer.from(text)
  let length = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    const decoded = byte === percent ? hexByte(bytes, at + 1) : -1
    if (decoded !== -1) at += 2
    bytes[length++] = decoded !== -1 ? decoded : byte === plus ? 32 : byte
  }
  return bytes.toString('utf8', 0, length)
}

/** Returns the byte that two hex digits stand for, or -1. */
function hexByte(bytes: Buffer, at: number): number {
  const [high, low] = [hexDigit(bytes[at]), hexDigit(bytes[at + 1])]
  return high === -1 || low === -1 ? -1 : high * 16 + low
}

function hexDigit(char = 0): number {
  if (char >= 48 && char <= 57) return char - 48
  const letter = char | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}
