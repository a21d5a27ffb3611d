import type { Kind } from '../records/format.ts'
import { targetText } from './targets.ts'

/** A write as its path names it. Keys may be names: `resolve` has replaced those that are known here by SIDs. */
export interface Write {
  readonly method: 'POST' | 'DELETE'
  /** Parts of the path below `/v1`, and below the service; decoded. */
  readonly segments: readonly string[]
  /** SID of the service; that of the default service for a path without one. Null for what belongs to the account. */
  readonly service: string | null
  readonly form: URLSearchParams
  /** The day on which it is sent, as in `2026-11-26`. */
  readonly day: string
}

/** What a write concerns. */
export interface Plan {
  /** What is changed one after the other; null: nothing else changes it. */
  readonly scope: string | null
  /** What is read when the outcome is unknown. */
  readonly ifUnknown: readonly string[]
  /** What is read after a success: more may have changed than the response shows. */
  readonly afterwards: readonly string[]
  /** What the response shows; null when that is not stored as it is. */
  readonly shows: Shown | null
  /** What a successful DELETE has removed; null for anything else. */
  readonly removes: Removed | null
  /** As in the write. */
  readonly service: string | null
}

export interface Shown {
  readonly kind: Kind
  readonly conversation: string | null
}

export interface Removed {
  /** Name of its resource. */
  readonly resource: string
  readonly parents: readonly string[]
  readonly key: string
}

const nothing = { scope: null, ifUnknown: [], afterwards: [], shows: null, removes: null } as const satisfies Part

type Part = Omit<Plan, 'service'>

/** Returns what a write concerns. One that is none of the official operations concerns nothing. */
export function planOf(write: Write): Plan {
  return { ...partOf(write), service: write.service }
}

function partOf(write: Write): Part {
  const { segments, service } = write
  if (service === null) return ofAccount(write)
  const [first] = segments
  switch (first) {
    case 'Conversations':
      return ofConversation(write, service)
    case 'ConversationWithParticipants':
      // Its response comes before it is done: the conversation is read until it is.
      return { ...nothing, ifUnknown: ofNew(write, service), afterwards: [] }
    case 'Users':
      return ofUser(write, service)
    case 'Roles':
      return ofService(write, service, { kind: 'role', resource: 'Role' })
    case 'Bindings':
      return ofBinding(write, service)
    case 'Configuration':
      return ofService(write, service, { kind: configurations[segments[1] ?? ''] ?? 'configuration', resource: '' })
    case undefined:
      return ofService(write, service, { kind: null, resource: 'Service' })
    default:
      return nothing
  }
}

const configurations: Readonly<Record<string, Kind>> = { Webhooks: 'webhook', Notifications: 'notification' }

function ofAccount({ method, segments }: Write): Part {
  const [first = '', second = '', third] = segments
  const account = targetText('account')
  const plan = { ...nothing, scope: 'account', ifUnknown: [account] }
  if (first === 'Services') return { ...plan, afterwards: [account] }
  const [kind, resource, key]: [Kind, string, string | undefined] =
    first === 'Credentials'
      ? ['credential', 'Credential', segments[1]]
      : second === 'Addresses'
        ? ['address', 'ConfigurationAddress', third]
        : [configurations[second] ?? 'configuration', '', undefined]
  if (method === 'DELETE') return { ...plan, removes: key === undefined ? null : { resource, parents: [], key } }
  // Another default service, perhaps one that is not known yet.
  const afterwards = kind === 'configuration' ? [account] : []
  return { ...plan, shows: { kind, conversation: null }, afterwards }
}

function ofService(
  { method, segments }: Write,
  service: string,
  { kind, resource }: { readonly kind: Kind | null; readonly resource: string },
): Part {
  const plan = { ...nothing, scope: service, ifUnknown: [targetText('service', service)] }
  if (method === 'POST') return { ...plan, shows: kind && { kind, conversation: null } }
  return { ...plan, removes: { resource, parents: [], key: segments[1] ?? service } }
}

function ofBinding({ method, segments }: Write, service: string): Part {
  const [, key = ''] = segments
  if (method === 'POST') return nothing
  const ifUnknown = [targetText('binding', service, key)]
  return { ...nothing, scope: `${service} bindings`, ifUnknown, removes: { resource: 'Binding', parents: [], key } }
}

function ofUser({ method, segments, form }: Write, service: string): Part {
  const [, user = form.get('Identity') ?? '', , conversation] = segments
  if (conversation !== undefined) {
    const target = targetText('membership', service, user, conversation)
    const all = [targetText('conversation', service, conversation)]
    return { ...nothing, scope: conversation, ifUnknown: [target, ...all], afterwards: method === 'POST' ? [target] : all }
  }
  const plan = { ...nothing, scope: userScope(service), ifUnknown: [targetText('user', service, user)] }
  if (method === 'POST') return { ...plan, shows: { kind: 'user', conversation: null } }
  return { ...plan, removes: { resource: 'User', parents: [], key: user } }
}

/** Users are named by SID or identity: all of a service are one scope. */
export function userScope(service: string): string {
  return `${service} users`
}

function ofNew({ form, day }: Write, service: string): string[] {
  const name = form.get('UniqueName')
  return [...(name ? [targetText('conversation', service, name)] : []), targetText('newest', service, day)]
}

function ofConversation(write: Write, service: string): Part {
  const { method, segments, form } = write
  const [, conversation, list, key] = segments
  if (conversation === undefined)
    return { ...nothing, ifUnknown: ofNew(write, service), shows: { kind: 'conversation', conversation: null } }
  const whole = targetText('conversation', service, conversation)
  const plan = { ...nothing, scope: conversation, ifUnknown: [whole] }
  const removing = (resource: string) => ({
    ...plan,
    removes: { resource, parents: [conversation], key: key ?? '' },
  })
  if (list === undefined) {
    if (method === 'POST') return { ...plan, shows: { kind: 'conversation', conversation } }
    return { ...plan, removes: { resource: 'Conversation', parents: [], key: conversation } }
  }
  if (list === 'Webhooks') {
    return method === 'DELETE'
      ? removing('ConversationWebhook')
      : { ...plan, shows: { kind: 'conversation_webhook', conversation } }
  }
  if (list === 'Participants') {
    if (method === 'DELETE') return removing('Participant')
    const identity = form.get('Identity')
    const users = identity ? [targetText('user', service, identity)] : []
    // Who joins a group changes others, and makes a user.
    const afterwards = key === undefined ? [...users, whole] : []
    return { ...plan, ifUnknown: [...users, whole], shows: { kind: 'participant', conversation }, afterwards }
  }
  if (list !== 'Messages') return nothing
  const one = key === undefined ? [] : [targetText('message', service, conversation, key)]
  if (method === 'DELETE') return { ...removing('Message'), ifUnknown: one }
  const state = targetText('state', service, conversation)
  const ifUnknown = key === undefined ? [state, targetText('messages', service, conversation)] : one
  return { ...plan, ifUnknown, shows: { kind: 'message', conversation }, afterwards: key === undefined ? [state] : [] }
}
