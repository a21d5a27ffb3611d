import { parseStored } from '../json.ts'
import type { AutoCreation } from '../resources/configuration/address.ts'
import { addressType, canonicalAddress } from '../resources/conversations/address-formats.ts'
import { projectedAddress } from '../resources/conversations/email-binding.ts'
import { elapse } from '../resources/conversations/lifecycle.ts'
import { findGroup, openWithoutProxy } from '../resources/conversations/participants/group-mms.ts'
import { holderOf } from '../resources/conversations/participants/participant.ts'
import type { Reader } from '../storage/database.ts'
import { accountBySid, conversationBySid, serviceOfAccount } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { AccountRow, AddressRow } from '../storage/schema.ts'
import { type MailFacts, type MailPerson, mailHome } from './mail-destination.ts'

/** The sender's address and those of the receivers, at an instant. */
export interface Parties {
  readonly account_sid: string
  readonly address: string
  readonly to: readonly [string, ...string[]]
  readonly now: number
  readonly mail?: MailFacts
}

/** The conversation of a message: the open one of the address pair or the group, or a new one as a receiver is configured. */
export type Destination =
  | {
      readonly kind: 'open'
      readonly service_sid: string
      readonly conversation_sid: string
      /** Null: the sender of a mail joins. */
      readonly participant_sid: string | null
      /** The other recipients of a mail, who join. */
      readonly joining?: readonly MailPerson[]
    }
  | {
      readonly kind: 'new'
      readonly service_sid: string
      readonly auto_creation: AutoCreation
      /** The receivers with an address configuration: the operator's own numbers. */
      readonly configured: readonly string[]
    }

const addressOf = rowsBy('addresses', ['account_sid', 'address'])

/** Returns the destination of a message; undefined if it has none. */
export async function findDestination(read: Reader, parties: Parties): Promise<Destination | undefined> {
  const { account_sid } = parties
  const account = await read.one(accountBySid, { sid: account_sid })
  if (!account) return undefined
  const open = parties.mail
    ? await homeDestination(read, parties, parties.mail)
    : ((await pairDestination(read, account, parties)) ??
      (await mailDestination(read, parties)) ??
      (await groupDestination(read, parties)))
  if (open || parties.mail?.opens === false) return open
  const configured = await configuredReceivers(read, parties)
  const enabled = configured.map((row) => parseStored<AutoCreation>(row.auto_creation)).find((auto) => auto.enabled)
  if (!enabled) return undefined
  const sid = enabled.conversation_service_sid
  const service = sid ? await read.one(serviceOfAccount, { sid, account_sid }) : undefined
  return {
    kind: 'new',
    service_sid: service?.sid ?? account.default_service_sid,
    auto_creation: enabled,
    configured: configured.map(({ address }) => address),
  }
}

async function pairDestination(read: Reader, account: AccountRow, parties: Parties): Promise<Destination | undefined> {
  const { address, to, now } = parties
  const holder = to.length === 1 ? await holderOf(read, { account, now }, address, to[0]) : null
  if (!holder?.conversation || holder.conversation.state === 'closed') return undefined
  const { service_sid, conversation_sid, sid } = holder.participant
  return { kind: 'open', service_sid, conversation_sid, participant_sid: sid }
}

async function homeDestination(read: Reader, parties: Parties, facts: MailFacts): Promise<Destination | undefined> {
  const { address, to } = parties
  const who = { address: canonicalAddress(address), mailbox: canonicalAddress(to[0]) }
  const home = await mailHome(read, parties, who, facts)
  return home && { kind: 'open', ...home }
}

/** Returns the open conversation of a mail participant: the one whose own address got the mail, else one of its mailbox. */
async function mailDestination(read: Reader, { account_sid, address, to, now }: Parties): Promise<Destination | undefined> {
  if (!isMail(address) || to.length > 1) return undefined
  const mailbox = canonicalAddress(to[0])
  let found: Destination | undefined
  for (const { service_sid, conversation_sid, sid } of await openWithoutProxy(read, account_sid, canonicalAddress(address))) {
    const row = await read.one(conversationBySid, { service_sid, sid: conversation_sid })
    if (!row || (elapse(row, now) ?? row).state === 'closed') continue
    const destination = { kind: 'open', service_sid, conversation_sid, participant_sid: sid } as const
    if (projectedAddress(row)?.toLowerCase() === mailbox) return destination
    if (row.email_address?.toLowerCase() === mailbox) found ??= destination
  }
  return found
}

export function isMail(address: string): boolean {
  return addressType(address) === 'email'
}

/** Returns the group conversation with exactly the numbers of sender and receivers (documented in the guide on group texting). */
async function groupDestination(read: Reader, parties: Parties): Promise<Destination | undefined> {
  const { address, to } = parties
  const group = await findGroup(read, parties, address, new Set([address, ...to]))
  return (
    group && {
      kind: 'open',
      service_sid: group.service_sid,
      conversation_sid: group.conversation_sid,
      participant_sid: group.sid,
    }
  )
}

async function configuredReceivers(read: Reader, { account_sid, to }: Parties): Promise<AddressRow[]> {
  const spelled = [...new Set(to.flatMap((address) => [address, canonicalAddress(address)]))]
  const found = await Promise.all(spelled.map((address) => read.one(addressOf, { account_sid, address })))
  return found.filter((row) => row !== undefined)
}

export function sameDestination(one: Destination | undefined, other: Destination): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
