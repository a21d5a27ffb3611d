import { isSid } from '../sids.ts'

/*
 * What a client keeps a copy of, by name. Each is shown from rows; none is stored.
 *
 *   US….channels   map        whose conversations: an item for each membership of the user
 *   US….info       map        the user: friendly name, attributes, reachability
 *   CH….channel    document   the conversation
 *   CH….messages   list       its messages, by index
 *   CH….roster     map        its participants
 */
export type ObjectType = 'map' | 'list' | 'document'
export type Part = 'channels' | 'info' | 'channel' | 'messages' | 'roster'

export interface SyncObject {
  /** Serves as its SID, too. */
  readonly name: string
  readonly part: Part
  /** The user's or the conversation's. */
  readonly sid: string
}

const kinds = {
  channels: { of: 'user', type: 'map' },
  info: { of: 'user', type: 'map' },
  channel: { of: 'conversation', type: 'document' },
  messages: { of: 'conversation', type: 'list' },
  roster: { of: 'conversation', type: 'map' },
} as const

export function membershipsMap(user_sid: string): string {
  return `${user_sid}.channels`
}

export function infoMap(user_sid: string): string {
  return `${user_sid}.info`
}

export function conversationDocument(conversation_sid: string): string {
  return `${conversation_sid}.channel`
}

export function messagesList(conversation_sid: string): string {
  return `${conversation_sid}.messages`
}

export function rosterMap(conversation_sid: string): string {
  return `${conversation_sid}.roster`
}

/** Returns the object of a name; undefined when it names none. */
export function objectNamed(name: string): SyncObject | undefined {
  const [sid = '', part = '', ...more] = name.split('.')
  if (more.length > 0 || !isPart(part) || !isSid(kinds[part].of, sid)) return undefined
  return { name, part, sid }
}

function isPart(part: string): part is Part {
  return Object.hasOwn(kinds, part)
}

export function typeOf({ part }: Pick<SyncObject, 'part'>): ObjectType {
  return kinds[part].type
}
