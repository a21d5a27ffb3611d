import { parseDuration, parseInstant, plusDuration } from '../dates.ts'
import type { ErrorName } from '../error-catalogue.ts'
import { ApiError, refuse } from '../errors.ts'
import { isSid, prefixOf, type SidKind } from '../sids.ts'
import { sealCredentials } from '../urls.ts'
import type { Form } from './form.ts'

/**
 * One parameter of a request, and how its text is parsed. Absent and empty differ in this API, and the null of an official
 * client arrives as empty, so every kind documents what empty means. `parse` throws ApiError on a bad value.
 */
export interface Param<T> {
  readonly parse: (text: string, all: readonly string[]) => T
  /** For the generated reference. */
  readonly kind: string
  /** UTF-8 bytes of all its values together, at the limit; where there is none, what a request has room for. */
  readonly maxBytes: number
  readonly verbs: readonly Verb[]
  /** The verbs that require it. */
  readonly required: readonly Verb[]
  /** Set for JSON text. */
  readonly json?: true
  /** Set where the text stands for a number, or for true or false: a seed may have that itself. */
  readonly scalar?: 'number' | 'boolean'
  /** Set for a parameter that may be repeated. */
  readonly several?: true
  /** The refusal when a pre-action webhook amends it with anything but a text. */
  readonly wrongType: ErrorName
  /**
   * Set for a secret, or what contains one. Encrypts the secret right after parsing, so that commands, rules and rows hold only
   * the ciphertext.
   */
  seal?(value: T, seal: (secret: string) => string): T
}

/** Returns the JSON key of a parameter: `messaging_service_sid` for `MessagingServiceSid`. */
export function snakeCase(name: string): string {
  return name.replace(/(?<=.)[A-Z]/g, '_$&').toLowerCase()
}

type Verb = 'create' | 'update'

export type Params = Readonly<Record<string, Param<unknown>>>

export type ValueOf<P> = P extends Param<infer T> ? T : never

/** The parsed values of the parameters that a request has. */
export type Parsed<P extends Params> = { readonly [K in keyof P]?: ValueOf<P[K]> }

/** Of a word, a date, a number, a SID. */
const shortBytes = 256
/** Of a text without a limit, such as a certificate or a URL: a request has room for a far longer one, beside short ones. */
const unlimitedBytes = 1024
/** A code point of a text that is limited in characters. */
const charBytes = 4

export function param<T>(kind: string, parse: Param<T>['parse'], maxBytes = shortBytes): Param<T> {
  return { kind, parse, maxBytes, verbs: ['create', 'update'], required: [], wrongType: 'invalidValue' }
}

/** Refuses an absent or empty parameter with 20001, on create unless other verbs are given. */
export function required<T>(inner: Param<T>, on: readonly Verb[] = ['create']): Param<T> {
  return { ...inner, required: on }
}

/** Ignored on update, like an unknown parameter. */
export function createOnly<T>(inner: Param<T>): Param<T> {
  return { ...inner, verbs: ['create'] }
}

/** Ignored on create, like an unknown parameter. */
export function updateOnly<T>(inner: Param<T>): Param<T> {
  return { ...inner, verbs: ['update'] }
}

/** Compares in code points; they are counted only when the text is longer in code units. */
export function longerThan(max: number, text: string): boolean {
  return text.length > max && [...text].length > max
}

/** Refuses what cannot be stored: NUL in PostgreSQL, and a lone surrogate, which JSON can express, in UTF-8. */
function refuseNul(given: string): void {
  if (given.includes('\0') || !given.isWellFormed()) throw refuse('invalidValue')
}

/** A text; empty means null. */
export function text(rules: {
  max?: number
  tooLong?: ErrorName
  not?: { test: (given: string) => boolean; refuse: ErrorName }
  reserved?: { words: readonly string[]; refuse: ErrorName }
  /** The word `null` means null, too. */
  nullWord?: boolean
}): Param<string | null> {
  return param(
    rules.max ? `text, at most ${rules.max} characters` : 'text',
    (given) => {
      if (rules.max && longerThan(rules.max, given)) throw refuse(rules.tooLong ?? 'invalidValue')
      if (rules.not?.test(given)) throw refuse(rules.not.refuse)
      if (rules.reserved?.words.includes(given)) throw refuse(rules.reserved.refuse)
      refuseNul(given)
      return given === '' || (rules.nullWord && given === 'null') ? null : given
    },
    rules.max ? rules.max * charBytes : unlimitedBytes,
  )
}

/** A text that may be empty; the limit is in UTF-8 bytes. */
export function exactText(maxBytes: number, tooLong: ErrorName): Param<string> {
  return param(
    `text, at most ${maxBytes} bytes`,
    (given) => {
      if (Buffer.byteLength(given) > maxBytes) throw refuse(tooLong)
      refuseNul(given)
      return given
    },
    maxBytes,
  )
}

/** A whole number from 0 on; empty means null. */
export function index(invalid: ErrorName, max = Number.MAX_SAFE_INTEGER): Param<number | null> {
  const number = param(max === Number.MAX_SAFE_INTEGER ? 'whole number from 0' : `whole number from 0 to ${max}`, (given) => {
    if (given === '') return null
    if (!/^\d{1,15}$/.test(given) || Number(given) > max) throw refuse(invalid)
    return Number(given)
  })
  return { ...number, scalar: 'number' }
}

/** JSON, stored byte for byte; empty resets it to `{}`. */
export function jsonText(maxBytes: number): Param<string> {
  const json = param(
    `JSON text, at most ${maxBytes} bytes`,
    (given) => {
      if (given === '') return '{}'
      if (Buffer.byteLength(given) > maxBytes) throw refuse('attributesTooLong')
      try {
        JSON.parse(given)
      } catch {
        throw refuse('attributesNotJson')
      }
      return given
    },
    maxBytes,
  )
  return { ...json, json: true, wrongType: 'attributesNotJson' }
}

/** One of a few words in any letter case, parsed to its declared spelling. */
export function oneOf<const W extends string>(
  words: readonly W[],
  refusals: { invalid: ErrorName; empty?: ErrorName },
): Param<W> {
  return param(words.join(' | '), (given) => {
    if (given === '' && refusals.empty) throw refuse(refusals.empty)
    const word = words.find((candidate) => candidate.toLowerCase() === given.toLowerCase())
    if (word === undefined) throw refuse(refusals.invalid)
    return word
  })
}

/** `true` or `false` in any letter case. Empty means null: the current value remains. */
export function flag(invalid: ErrorName = 'invalidValue'): Param<boolean | null> {
  const boolean = param('true | false', (given) => {
    if (given === '') return null
    const word = given.toLowerCase()
    if (word !== 'true' && word !== 'false') throw refuse(invalid)
    return word === 'true'
  })
  return { ...boolean, scalar: 'boolean' }
}

/** A secret text; empty means null. */
export function secret(): Param<string | null> {
  return {
    ...text({}),
    kind: 'secret text, never returned',
    seal: (value, seal) => (value === null ? null : seal(value)),
  }
}

/** A repeated parameter, each value parsed as `inner`. Empty values and duplicates are dropped. */
export function repeated<T>(inner: Param<T>): Param<readonly NonNullable<T>[]> {
  const several = param(`${inner.kind}; may be repeated`, (_, all) => {
    const given = all.filter((one) => one !== '').map((one) => inner.parse(one, [one]))
    return [...new Set(given.filter((one) => one !== null && one !== undefined))]
  })
  return { ...several, several: true }
}

/** Some of a few words, by repeating the parameter; an empty value alone is the empty list. Exact spelling, duplicates dropped. */
export function someOf<const W extends string>(words: readonly W[], invalid: ErrorName): Param<readonly W[]> {
  const several = param(
    `any of: ${words.join(', ')}`,
    (_, all) => {
      const given = all.filter((word) => word !== '').map((word) => words.find((known) => known === word))
      if (given.includes(undefined)) throw refuse(invalid)
      return [...new Set(given)].filter((word) => word !== undefined)
    },
    words.length * shortBytes,
  )
  return { ...several, several: true }
}

/** Several texts, by repeating the parameter; empty values alone are the empty list. `max`: in characters. */
export function texts(rules: {
  maxTexts: number
  tooMany: ErrorName
  max: number
  invalid: ErrorName
}): Param<readonly string[]> {
  const several = param(
    `at most ${rules.maxTexts} texts of 1 to ${rules.max} characters`,
    (_, all) => {
      const given = all.every((one) => one === '') ? [] : all
      if (given.length > rules.maxTexts) throw refuse(rules.tooMany)
      if (given.some((one) => one === '' || longerThan(rules.max, one))) throw refuse(rules.invalid)
      given.forEach(refuseNul)
      return [...given]
    },
    rules.maxTexts * rules.max * charBytes + rules.maxTexts * shortBytes,
  )
  return { ...several, several: true }
}

/** An ISO 8601 instant, parsed to epoch ms. Empty is refused like any other text that is no date. */
export function date(invalid: ErrorName): Param<number> {
  return param('ISO 8601 date', (given) => {
    const instant = parseInstant(given)
    if (instant === undefined) throw refuse(invalid)
    return instant
  })
}

/** A bound of a list by date. A date without a time includes the whole day. */
export function dateBound(name: string, endOfDay: boolean): Param<number> {
  return param('ISO 8601 date', (given) => {
    const instant = parseInstant(given, endOfDay)
    if (instant === undefined) throw refuse('invalidParameter', { text: `Invalid ${name}.` })
    // Responses show whole seconds: an end without a fraction includes all of its second.
    return endOfDay && /[Tt ]/.test(given) && !/[.,]/.test(given) ? instant + 999 : instant
  })
}

/** Durations are compared by the instants they lead to from here. */
const epoch = 0

/**
 * An ISO 8601 duration without years and months (documented: days and smaller units), stored as given. `PT0S` and empty unset it: the vendor's error dictionary lists `PT0S` as valid although
 * it is below the minimum.
 */
export function duration(rules: { min: string; tooShort: ErrorName; invalid: ErrorName }): Param<string | null> {
  const min = plusDuration(epoch, rules.min) ?? 0
  return param(`ISO 8601 duration without years and months, at least ${rules.min}; PT0S or empty unsets`, (given) => {
    if (given === '') return null
    const parsed = /^P[^T]*[YM]/i.test(given) ? undefined : parseDuration(given)
    if (!parsed) throw refuse(rules.invalid)
    if (parsed.blank) return null
    // Refuses durations that lead beyond the largest date, from any instant before 2200.
    const length = plusDuration(Date.UTC(2200, 0), given) === undefined ? undefined : plusDuration(epoch, given)
    if (length === undefined) throw refuse(rules.invalid)
    if (length < min) throw refuse(rules.tooShort)
    return given
  })
}

/** A SID of one kind. Empty means null: the current value remains. */
export function sid(kind: SidKind, invalid: ErrorName): Param<string | null> {
  return param(`${prefixOf(kind)} SID`, (given) => {
    if (given === '') return null
    if (!isSid(kind, given)) throw refuse(invalid)
    return given
  })
}

/** An absolute http(s) URL; empty means null. User name and password in it are stored encrypted. */
export function webUrl(invalid: ErrorName, limit?: { max: number; tooLong: ErrorName }): Param<string | null> {
  const url = param(
    limit ? `http(s) URL, at most ${limit.max} characters` : 'http(s) URL',
    (given) => {
      if (given === '') return null
      const parsed = !/\s/.test(given) && URL.canParse(given) ? new URL(given) : undefined
      if (!parsed || !/^https?:$/.test(parsed.protocol)) throw refuse(invalid)
      if (limit && longerThan(limit.max, given)) throw refuse(limit.tooLong)
      refuseNul(given)
      return given
    },
    limit ? limit.max * charBytes : unlimitedBytes,
  )
  return { ...url, seal: (value, seal) => (value === null ? null : sealCredentials(value, seal)) }
}

/** Returns the value of a column on update: absent keeps it, empty (null) unsets it. */
export function given<T>(value: T | undefined, before: T): T {
  return value === undefined ? before : value
}

/** The value of a parameter that may be ignored, or the refusal that it meets if it is used. Plain data, as every value. */
export type Deferred<T> = { readonly value: T } | { readonly refusal: Pick<ApiError, 'kind' | 'details'> }

/** A parameter that is ignored or used depending on other values: the rule of the resource takes it with `deferredValue`. */
export function deferred<T>(inner: Param<T>): Param<Deferred<T>> {
  return {
    ...inner,
    parse(text, all) {
      try {
        return { value: inner.parse(text, all) }
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        return { refusal: { kind: error.kind, details: error.details } }
      }
    },
    seal: (given, seal) => ('value' in given && inner.seal ? { value: inner.seal(given.value, seal) } : given),
  }
}

/** Returns the value of a deferred parameter; undefined when it was not given. Throws its refusal. */
export function deferredValue<T>(given: Deferred<T> | undefined): T | undefined {
  if (given === undefined || 'value' in given) return given?.value
  throw refuse(given.refusal.kind, given.refusal.details)
}

/**
 * Parses a resource's parameters from a form, in declared order. Unknown names are ignored, names are case-sensitive.
 * Throws ApiError for the first required parameter that is missing, else for the first bad value.
 */
export function parseParams<P extends Params>(declared: P, verb: 'create' | 'update' | 'list', form: Form): Parsed<P> {
  const parsed: Record<string, unknown> = {}
  const params = forVerb(declared, verb)
  if (verb !== 'list') {
    for (const [name, p] of params) if (p.required.includes(verb) && !form.last(name)) throw refuse('missingParameter', { name })
  }
  for (const [name, p] of params) {
    const all = form.all(name)
    const given = all.at(-1)
    if (given !== undefined) parsed[name] = p.parse(given, all)
  }
  // Each value has been parsed by the declaration of its name.
  return parsed as Parsed<P>
}

/**
 * Returns the length of the longest form that a declaration can make use of: each value at its limit and each byte of it
 * percent-encoded (`%20`), between its name, `=` and `&`.
 */
export function longestForm(declared: Params): number {
  return Object.entries(declared).reduce((sum, [name, { maxBytes }]) => sum + name.length + 2 + 3 * maxBytes, 0)
}

/** Returns the values with the secrets encrypted. */
export function sealSecrets<P extends Params>(declared: P, parsed: Parsed<P>, seal: (secret: string) => string): Parsed<P> {
  const secrets = Object.entries(parsed).filter(([name]) => declared[name]?.seal)
  if (secrets.length === 0) return parsed
  return { ...parsed, ...Object.fromEntries(secrets.map(([name, value]) => [name, declared[name]?.seal?.(value, seal)])) }
}

type NamedParams = readonly (readonly [string, Param<unknown>])[]

const byVerb = new WeakMap<Params, Record<'create' | 'update' | 'list', NamedParams>>()

/** Returns the parameters of a verb, filtered once per declaration. */
function forVerb(declared: Params, verb: 'create' | 'update' | 'list'): NamedParams {
  const cached = byVerb.get(declared)
  if (cached) return cached[verb]
  const list = Object.entries(declared)
  const create = list.filter(([, p]) => p.verbs.includes('create'))
  const update = list.filter(([, p]) => p.verbs.includes('update'))
  byVerb.set(declared, { list, create, update })
  return forVerb(declared, verb)
}
