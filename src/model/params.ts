import { parseDuration, parseInstant, plusDuration } from '../dates.ts'
import { type ErrorName, refuse } from '../errors.ts'
import { isSid, prefixOf, type SidKind } from '../sids.ts'
import type { Form } from './form.ts'

/**
 * One parameter of a request: how its text becomes a value. Absent and empty differ on this API, and an official client's
 * null arrives as empty, so every kind says what empty means. Throws ApiError on a bad value.
 */
export interface Param<T> {
  readonly parse: (text: string, all: readonly string[]) => T
  /** For the documentation. */
  readonly kind: string
  readonly verbs: readonly Verb[]
  /** The verbs on which it must be there. */
  readonly required: readonly Verb[]
  /** What a pre-action webhook's caller gets when the hook answers with anything but a text here. */
  readonly wrongType: ErrorName
  /** A secret: encrypted as soon as it has been parsed, so that commands, rules and rows only ever hold it sealed. */
  readonly sealed?: true
}

/** `MessagingServiceSid` as the keys of JSON spell it: `messaging_service_sid`. */
export function snakeCase(name: string): string {
  return name.replace(/(?<=.)[A-Z]/g, '_$&').toLowerCase()
}

type Verb = 'create' | 'update'

export type Params = Readonly<Record<string, Param<unknown>>>

export type ValueOf<P> = P extends Param<infer T> ? T : never

/** The values of the parameters a request gave. */
export type Parsed<P extends Params> = { readonly [K in keyof P]?: ValueOf<P[K]> }

export function param<T>(kind: string, parse: Param<T>['parse']): Param<T> {
  return { kind, parse, verbs: ['create', 'update'], required: [], wrongType: 'invalidValue' }
}

/** Must be there on create, unless other verbs are named, and not empty (20001). */
export function required<T>(inner: Param<T>, on: readonly Verb[] = ['create']): Param<T> {
  return { ...inner, required: on }
}

/** Read only when the resource is created; ignored, like an unknown parameter, on update. */
export function createOnly<T>(inner: Param<T>): Param<T> {
  return { ...inner, verbs: ['create'] }
}

/** The other way round: nothing to say when the resource is created. */
export function updateOnly<T>(inner: Param<T>): Param<T> {
  return { ...inner, verbs: ['update'] }
}

/** Limits in characters count code points; only a text longer in code units needs counting. */
export function longerThan(max: number, text: string): boolean {
  return text.length > max && [...text].length > max
}

/** PostgreSQL cannot hold a NUL, UTF-8 not half a surrogate pair (JSON can spell one), and nothing a person types has either. */
function refuseNul(given: string): void {
  if (given.includes('\0') || !given.isWellFormed()) throw refuse('invalidValue')
}

/** A text; empty reads as null. */
export function text(rules: {
  max?: number
  tooLong?: ErrorName
  not?: { test: (given: string) => boolean; refuse: ErrorName }
  reserved?: { words: readonly string[]; refuse: ErrorName }
  /** The word `null` removes it, as an empty value does. */
  nullWord?: boolean
}): Param<string | null> {
  return param(rules.max ? `text, at most ${rules.max} characters` : 'text', (given) => {
    if (rules.max && longerThan(rules.max, given)) throw refuse(rules.tooLong ?? 'invalidValue')
    if (rules.not?.test(given)) throw refuse(rules.not.refuse)
    if (rules.reserved?.words.includes(given)) throw refuse(rules.reserved.refuse)
    refuseNul(given)
    return given === '' || (rules.nullWord && given === 'null') ? null : given
  })
}

/** A text for which empty is a value like any other; the limit is in UTF-8 bytes. */
export function exactText(max_bytes: number, tooLong: ErrorName): Param<string> {
  return param(`text, at most ${max_bytes} bytes`, (given) => {
    if (Buffer.byteLength(given) > max_bytes) throw refuse(tooLong)
    refuseNul(given)
    return given
  })
}

/** A whole number from 0 on; empty reads as null. */
export function index(invalid: ErrorName, max = Number.MAX_SAFE_INTEGER): Param<number | null> {
  return param(max === Number.MAX_SAFE_INTEGER ? 'whole number from 0' : `whole number from 0 to ${max}`, (given) => {
    if (given === '') return null
    if (!/^\d{1,15}$/.test(given) || Number(given) > max) throw refuse(invalid)
    return Number(given)
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

/** `true` or `false` in any letter case. Empty reads as null: keep what there is. */
export function flag(invalid: ErrorName = 'invalidValue'): Param<boolean | null> {
  return param('true | false', (given) => {
    if (given === '') return null
    const word = given.toLowerCase()
    if (word !== 'true' && word !== 'false') throw refuse(invalid)
    return word === 'true'
  })
}

/** A secret text; empty reads as null. */
export function secret(): Param<string | null> {
  return { ...text({}), kind: 'secret text, never shown', sealed: true }
}

/** The name repeated, each value read as `inner` reads one. Empty ones and duplicates are dropped. */
export function several<T>(inner: Param<T>): Param<readonly NonNullable<T>[]> {
  return param(`${inner.kind}; may be repeated`, (_, all) => {
    const given = all.filter((one) => one !== '').map((one) => inner.parse(one, [one]))
    return [...new Set(given.filter((one) => one !== null && one !== undefined))]
  })
}

/** Several of a few words, the name repeated; an empty value alone is the empty list. Exact spelling, duplicates dropped. */
export function someOf<const W extends string>(words: readonly W[], invalid: ErrorName): Param<readonly W[]> {
  return param(`any of: ${words.join(', ')}`, (_, all) => {
    const given = all.filter((word) => word !== '').map((word) => words.find((known) => known === word))
    if (given.includes(undefined)) throw refuse(invalid)
    return [...new Set(given)].filter((word) => word !== undefined)
  })
}

/** Several texts, the name repeated; an empty value alone is the empty list. */
export function texts(rules: { most: number; tooMany: ErrorName; max: number; invalid: ErrorName }): Param<readonly string[]> {
  return param(`at most ${rules.most} texts of 1 to ${rules.max} characters`, (_, all) => {
    const given = all.length === 1 && all[0] === '' ? [] : all
    if (given.length > rules.most) throw refuse(rules.tooMany)
    if (given.some((one) => one === '' || longerThan(rules.max, one))) throw refuse(rules.invalid)
    given.forEach(refuseNul)
    return [...given]
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
  const min = plusDuration(epoch, rules.min) ?? 0
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

/** A SID of one kind. Empty reads as null: keep what there is. */
export function sid(kind: SidKind, invalid: ErrorName): Param<string | null> {
  return param(`${prefixOf(kind)} SID`, (given) => {
    if (given === '') return null
    if (!isSid(kind, given)) throw refuse(invalid)
    return given
  })
}

/** Absolute http(s) address; empty clears it. */
export function webAddress(invalid: ErrorName, limit?: { max: number; tooLong: ErrorName }): Param<string | null> {
  return param(limit ? `http(s) URL, at most ${limit.max} characters` : 'http(s) URL', (given) => {
    if (given === '') return null
    const parsed = !/\s/.test(given) && URL.canParse(given) ? new URL(given) : undefined
    if (!parsed || !/^https?:$/.test(parsed.protocol)) throw refuse(invalid)
    if (limit && longerThan(limit.max, given)) throw refuse(limit.tooLong)
    refuseNul(given)
    return given
  })
}

/** The value of a parameter on update: empty unsets (it reads as null), absent keeps what there is. */
export function given<T>(value: T | undefined, before: T): T {
  return value === undefined ? before : value
}

/**
 * Kept as given: whether it counts at all depends on other values, so the rule of the resource reads it, by the same kind,
 * once it knows them.
 */
export function deferred(inner: Param<unknown>): Param<readonly string[]> {
  return { ...inner, parse: (_, all) => all }
}

/** Reads what was kept; undefined when it was not given. */
export function parseDeferred<T>(kind: Param<T>, given: readonly string[] | undefined): T | undefined {
  return given && kind.parse(given.at(-1) ?? '', given)
}

/**
 * Reads a resource's parameters from a form, in declared order. Unknown names are ignored, names are case-sensitive.
 * Throws ApiError: the first required one missing, else the first bad value.
 */
export function parseParams<P extends Params>(declared: P, verb: 'create' | 'update' | 'list', form: Form): Parsed<P> {
  const parsed: Record<string, unknown> = {}
  const wanted = forVerb(declared, verb)
  if (verb !== 'list') {
    for (const [name, p] of wanted) if (p.required.includes(verb) && !form.last(name)) throw refuse('missingParameter', { name })
  }
  for (const [name, p] of wanted) {
    const given = form.last(name)
    if (given === undefined) continue
    parsed[name] = p.parse(given, form.all(name))
  }
  // Each name has been read by its own kind.
  return parsed as Parsed<P>
}

/** The same values with the secrets among them encrypted. */
export function sealSecrets<P extends Params>(declared: P, parsed: Parsed<P>, seal: (secret: string) => string): Parsed<P> {
  const secrets = Object.entries(parsed).filter(([name, value]) => declared[name]?.sealed && value !== null)
  if (secrets.length === 0) return parsed
  return { ...parsed, ...Object.fromEntries(secrets.map(([name, value]) => [name, seal(String(value))])) }
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
