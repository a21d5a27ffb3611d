import type { Pipeline } from '../api/requests.ts'
import { refuse } from '../errors.ts'
import { addressType } from '../resources/conversations/address-formats.ts'
import type { Reader } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import type { InboundMedia } from './adapter.ts'
import { type Plan, planFor } from './inbound-plan.ts'
import { InboundError, type Incoming, type Received, receivedBefore } from './incoming.ts'

/** What a message is received with. */
export interface Receiver {
  readonly pipeline: Pipeline
  /** Returns null when the destination has changed since the plan. */
  readonly write: (plan: Plan) => Promise<Received | null>
  /** Stores media in a service. Returns their SID; null: the message goes without them. Throws what refuses the message. */
  readonly store: (owner: { account_sid: string; service_sid: string }, media: InboundMedia) => Promise<string | null>
}

/** Attempts when concurrent changes move the destination: a conversation that another message has created is found next time. */
const maxTries = 5

/**
 * Receives a message from a channel: finds or creates its conversation, with the rules, webhooks and refusals of the API. Throws
 * InboundError or ApiError.
 */
export async function receive({ pipeline, write, store }: Receiver, incoming: Incoming): Promise<Received> {
  const source = addressType(incoming.from)?.toUpperCase()
  if (source === undefined) throw new InboundError(400, `${incoming.from} is not an address in a known format`)
  await checkAccount(pipeline.read, incoming.account_sid)
  pipeline.guard?.(incoming.account_sid)
  const external = incoming.external && { account_sid: incoming.account_sid, ...incoming.external }
  const before = external && !incoming.mail && (await receivedBefore(pipeline.read, external))
  if (before) return before
  // Stored once, even if the destination moves.
  const stored = new Map<string, Promise<readonly string[]>>()
  const storedIn = (service_sid: string) => {
    const sids = stored.get(service_sid) ?? storeAll(store, incoming, service_sid)
    stored.set(service_sid, sids)
    return sids
  }
  for (let tries = 0; tries < maxTries; tries++) {
    const plan = await planFor(pipeline, { ...incoming, external, storedIn }, source)
    const received = 'duplicate' in plan ? plan : await write(plan)
    if (received) return received
  }
  throw refuse('unavailable')
}

async function storeAll(
  store: Receiver['store'],
  { account_sid, media }: Incoming,
  service_sid: string,
): Promise<readonly string[]> {
  const sids: string[] = []
  for (const one of media) {
    const sid = 'sid' in one ? one.sid : await store({ account_sid, service_sid }, one)
    if (sid !== null) sids.push(sid)
  }
  return sids
}

async function checkAccount(read: Reader, sid: string): Promise<void> {
  const account = await read.one(accountBySid, { sid })
  if (!account) throw new InboundError(404, `there is no account ${sid}`)
  if (account.status !== 'active') throw new InboundError(403, `the account ${sid} is suspended`)
}
