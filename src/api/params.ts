import { type ErrorName, refuse } from '../errors.ts'
import { isSid } from '../sids.ts'
import { parseDuration, parseInstant, plusDuration } from './dates.ts'
import type { Form } from './form.ts'

/**
 * One parameter of a request: how its text becomes a value. Absent and empty differ on this API, and an official client's
 * null arrives as empty, so every kind says what empty means. Throws ApiError on a bad value.
 */
export interface Param<T> {
  readonly parse: (text: string, all: readonly string[]) => T
  /** For the documentation. */
  readonly kind: string
  readonly verbs: readonly ('create' | 'update')[]
  readonly required: boolean
  /** What a pre-action webhook's caller gets when the hook answers with anything but a text here. */
  readonly wrongType: ErrorName
}

export type Params = Readonly<Record<string, Param<unknown>>>
export type ValueOf<P> = P extends Param<infer T> ? T : never
/** The values of the parameters a request gave. */
export type Parsed<P extends Params> = { readonly [K in keyof P]?: ValueOf<P[K]> }

function param<T>(kind: string, parse: Param<T>['parse']): Param<T> {
  return { kind, parse, verbs: ['create', 'update'], required: false, wrongType: 'invalidValue' }
}

/** Must be there on create, and not empty (20001). */
export function required<T>(inner: Param<T>): Param<T> {
  return { ...inner, required: true }
}

/** Read only when the resource is created; ignored, like an unknown parameter, on update. */
export function createOnly<T>(inner: Param<T>): Param<T> {
  return { ...inner, verbs: ['create'] }
}

/** Limits in characters count code points; only a text longer in code units needs counting. */
function longerThan(max: number, text: string): boolean {
  return text.length > max && [...text].length > max
}

/** PostgreSQL cannot hold a NUL, and nothing a person types has one. */
function refuseNul(given: string): void {
  if (given.includes('\0')) throw refuse('invalidValue')
}

/** A text; empty reads as null. */
export function text(rules: {
  max?: number
  tooLong?: ErrorName
  not?: { test: (given: string) => boolean; refuse: ErrorName }
}): Param<string | null> {
  return param(rules.max ? `text, at most ${rules.max} characters` : 'text', (given) => {
    if (rules.max && longerThan(rules.max, given)) throw refuse(rules.tooLong ?? 'invalidValue')
    if (rules.not?.test(given)) throw refuse(rules.not.refuse)
    refuseNul(given)
    return given === '' ? null : given
  })
}

/** JSON kept byte for byte; empty resets it to `{}`. */
export function jsonText(max_bytes: number): Param<string> {
  const json = param(`JSON text, at most ${max_bytes} bytes`, (given) => {
    if (given === '') return '{}'
    if (Buffer.byteLength(given) > max_bytes) throw refuse('attributesTooLong')
    try {
      JSON.parse(given)
    } catch {
      throw refuse('attributesNotJson')
    }
    return given
  })
  return { ...json, wrongType: 'attributesNotJson' }
}

/** One of a few words in any letter case; answers the declared spelling. */
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

/** Several of a few words, the name repeated; an empty value alone is the empty list. Exact spelling, duplicates dropped. */
export function someOf<const W extends string>(words: readonly W[], invalid: ErrorName): Param<readonly W[]> {
  return param(`any of: ${words.join(', ')}`, (_, all) => {
    const given = all.filter((word) => word !== '')
    if (!given.every((word): word is W => (words as readonly string[]).includes(word))) throw refuse(invalid)
    return [...new Set(given)] as W[]
  })
}

/** ISO 8601 instant as epoch ms. Empty is as bad as any other text that is no date. */
export function date(invalid: ErrorName): Param<number> {
  return param('ISO 8601 date', (given) => {
    const instant = parseInstant(given)
    if (instant === undefined) throw refuse(invalid)
    return instant
  })
}

/** A bound of a list: a bare date means the whole day. */
export function dateBound(name: string, end_of_day: boolean): Param<number> {
  return param('ISO 8601 date', (given) => {
    const instant = parseInstant(given, end_of_day)
    if (instant === undefined) throw refuse('invalidParameter', { text: `Invalid ${name}.` })
    // Bodies show whole seconds: an end without a fraction takes in all of its second.
    return end_of_day && /[Tt ]/.test(given) && !/[.,]/.test(given) ? instant + 999 : instant
  })
}

/** The epoch: durations are compared by what they add to it. */
const epoch = 0

/**
 * ISO 8601 duration, kept as given. `PT0S` and empty unset it: the vendor's dictionary lists `PT0S` as proper although
 * it is under the minimum.
 */
export function duration(rules: { min: string; tooShort: ErrorName; invalid: ErrorName }): Param<string | null> {
  const min = plusDuration(epoch, rules.min) as number
  return param(`ISO 8601 duration, at least ${rules.min}; PT0S or empty unsets`, (given) => {
    if (given === '') return null
    const parsed = parseDuration(given)
    if (!parsed) throw refuse(rules.invalid)
    if (parsed.blank) return null
    // Far enough past the largest date, so that no clock of this century can overflow it later.
    const length = plusDuration(Date.UTC(2200, 0), given) === undefined ? undefined : plusDuration(epoch, given)
    if (length === undefined) throw refuse(rules.invalid)
    if (length < min) throw refuse(rules.tooShort)
    return given
  })
}

/** A sid of one kind. Empty reads as null: keep what there is. */
export function sid(prefix: string, invalid: ErrorName): Param<string | null> {
  return param(`${prefix} sid`, (given) => {
    if (given === '') return null
    if (!isSid(prefix, given)) throw refuse(invalid)
    return given
  })
}

/** Absolute http(s) address; empty clears it. */
export function webAddress(invalid: ErrorName): Param<string | null> {
  return param('http(s) URL', (given) => {
    if (given === '') return null
    const parsed = URL.canParse(given) ? new URL(given) : undefined
    if (!parsed || !/^https?:$/.test(parsed.protocol)) throw refuse(invalid)
    refuseNul(given)
    return given
  })
}

/**
 * Reads a resource's parameters from a form, in declared order. Unknown names are ignored, names are case-sensitive.
 * Throws ApiError: the first required one missing, else the first bad value.
 */
export function parseParams<P extends Params>(declared: P, verb: 'create' | 'update' | 'list', form: Form): Parsed<P> {
  const parsed: Record<string, unknown> = {}
  const wanted = forVerb(declared, verb)
  if (verb === 'create') {
    for (const [name, p] of wanted) if (p.required && !form.last(name)) throw refuse('missingParameter', { name })
  }
  for (const [name, p] of wanted) {
    const given = form.last(name)
    if (given === undefined) continue
    parsed[name] = p.parse(given, form.all(name))
  }
  return parsed as Parsed<P>
}

type Wanted = readonly (readonly [string, Param<unknown>])[]

const byVerb = new WeakMap<Params, Record<'create' | 'update' | 'list', Wanted>>()

/** Sorted out once per declaration, not per request. */
function forVerb(declared: Params, verb: 'create' | 'update' | 'list'): Wanted {
  const kept = byVerb.get(declared)
  if (kept) return kept[verb]
  const list = Object.entries(declared)
  const create = list.filter(([, p]) => p.verbs.includes('create'))
  const update = list.filter(([, p]) => p.verbs.includes('update'))
  byVerb.set(declared, { list, create, update })
  return forVerb(declared, verb)
}
