import { createHmac, type KeyObject } from 'node:crypto'
import { isJsonObject } from '../json.ts'
import { canonicalAddress } from '../resources/conversations/address-formats.ts'

/** By what the caller names a person: what their application calls them, or a phone number or mail address. */
export type Subject = { readonly identity: string } | { readonly address: string }

/**
 * A person of an account, and what was found of them. Plain data: it crosses to the writer thread, and is stored sealed while an erasure
 * is under way.
 */
export interface Person {
  readonly account_sid: string
  /** What the person is called in columns: an identity, or the spellings of an address. */
  readonly names: readonly string[]
  /** Whether these are addresses: long enough to be looked for inside of texts, and compared without case. */
  readonly by_address: boolean
  /** Other names of theirs: those of the user and of the mail participant. They are looked for in pushes and headers of mails alone. */
  readonly called: readonly string[]
  /** SIDs of their participants and users, and of the conversations that they are or were in. */
  readonly participants: readonly string[]
  readonly users: readonly string[]
  readonly conversations: readonly string[]
}

/** The channels whose addresses are phone numbers: who has the number is the same person in all of them. */
const numbered = ['', 'whatsapp:', 'rcs:']

/** Returns how a subject is spelt in the columns of rows, an address in lower case. A phone number stands for its owner in every channel. */
export function namesOf(subject: Subject): readonly string[] {
  if ('identity' in subject) return [subject.identity]
  const address = canonicalAddress(subject.address).toLowerCase()
  const number = /^(?:whatsapp:|rcs:)?(\+[1-9]\d{1,14})$/.exec(address)?.[1]
  return number === undefined ? [address] : numbered.map((prefix) => prefix + number)
}

/** Returns the person of whom nothing has been found yet. */
export function personOf(account_sid: string, subject: Subject): Person {
  return {
    account_sid,
    names: namesOf(subject),
    by_address: 'address' in subject,
    called: [],
    participants: [],
    users: [],
    conversations: [],
  }
}

/** What the key of the hashes is derived for. */
export const hashPurpose = 'subjects of erasures'

/** Returns the hash by which the proof of an erasure is recognised: of the account and the person, however the address was spelt. */
export function subjectHash(key: KeyObject, { account_sid, names, by_address }: Person): string {
  const [name = ''] = names
  return createHmac('sha256', key)
    .update(`${account_sid} ${by_address ? 'address' : 'identity'} ${name}`)
    .digest('hex')
}

/** Whether a column names the person. */
export function isNamed({ names, by_address }: Person, value: string | null): boolean {
  return value !== null && names.includes(by_address ? value.toLowerCase() : value)
}

/** Whether a SID is that of one of the person's participants or users. */
export function hasSid({ participants, users }: Person, sid: string | null): boolean {
  return sid !== null && (participants.includes(sid) || users.includes(sid))
}

const patterns = new WeakMap<Person, RegExp>()

/** Returns a pattern of the person's addresses that is part of no longer address. */
function patternOf(person: Person): RegExp {
  let pattern = patterns.get(person)
  if (!pattern) {
    const any = person.names.toSorted((a, b) => b.length - a.length).map(escaped)
    pattern = new RegExp(`(?<![\\w.+%-])(?:${any.join('|')})(?!\\w|[.-]\\w|@)`, 'gi')
    patterns.set(person, pattern)
  }
  return pattern
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}

/** Whether a text has the person's address in it. An identity may be a common word: it is not looked for. */
export function hasAddress(person: Person, text: string | null): boolean {
  return person.by_address && text !== null && text.search(patternOf(person)) >= 0
}

/**
 * Whether JSON has the person's address in any of its texts. Escapes are left out: the letter of a line break would be taken for a part
 * of the address behind it.
 */
export function hasAddressInJson(person: Person, json: string | null): boolean {
  return json !== null && hasAddress(person, json.replaceAll(/\\(?:u[0-9a-f]{4}|.)/gi, ' '))
}

/** A mail that has left, or would have. */
interface Mail {
  readonly account_sid: string
  readonly conversation_sid: string
  readonly to: string
  readonly source: Buffer
}

/** Whether a mail is of a conversation that the person is or was in, or has their address. */
export function isInMail(person: Person, { account_sid, conversation_sid, to, source }: Mail): boolean {
  if (account_sid !== person.account_sid) return false
  return person.conversations.includes(conversation_sid) || isNamed(person, to) || hasAddress(person, source.toString('latin1'))
}

/** Whether a text that was made of names has one of the person's in it. */
export function mentions(person: Person, text: string): boolean {
  return hasAddress(person, text) || [...person.names, ...person.called].some((name) => text.includes(name))
}

/** Returns a value of JSON in which the person is replaced: their address in any text, and their name where it is all, or beside it. */
export function withoutPerson(person: Person, value: unknown, pseudonym: string): unknown {
  if (typeof value === 'string') {
    if (person.called.includes(value)) return pseudonym
    if (!hasAddress(person, value)) return value
    const unaddressed = value.replaceAll(patternOf(person), pseudonym)
    return person.called.reduce((text, name) => text.replaceAll(name, pseudonym), unaddressed)
  }
  if (Array.isArray(value)) return value.map((one: unknown) => withoutPerson(person, one, pseudonym))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutPerson(person, one, pseudonym)]))
}

/** What rows say of a person. */
export type Found = Partial<Pick<Person, 'called' | 'participants' | 'users' | 'conversations'>>

/** Returns the person with more that was found; the same object when there is nothing new. */
export function withFound(person: Person, found: readonly Found[]): Person {
  const known = (key: keyof Found) => [...new Set([...person[key], ...found.flatMap((one) => one[key] ?? [])])]
  const next = {
    called: known('called'),
    participants: known('participants'),
    users: known('users'),
    conversations: known('conversations'),
  }
  const grown = (['called', 'participants', 'users', 'conversations'] as const).some(
    (key) => next[key].length > person[key].length,
  )
  return grown ? { ...person, ...next } : person
}
