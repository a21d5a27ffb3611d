import type { Clock } from '../clock.ts'
import { ApiError, isFailure, refuse } from '../errors.ts'
import { addressType, canonicalAddress } from '../resources/conversations/address-formats.ts'
import { rosterMap } from '../resources/sync-objects.ts'
import type { Database } from '../storage/database.ts'
import { channelByAddress, participantBySid } from '../storage/lookups.ts'
import type { ChannelEvent, ChannelIo, MessageEvent, StatusEvent } from './adapter.ts'
import type { channelCommands } from './commands.ts'
import { findDestination } from './destination.ts'
import { type Receiver, receive } from './inbound.ts'
import { InboundMediaError, type InboundMediaOptions, storeMedia } from './inbound-media.ts'
import { InboundError } from './incoming.ts'
import { fitting, storable } from './long-text.ts'
import { isExternalId, receiptStatuses } from './statuses.ts'

/** Of a subject; longer ones are cut, those of the API are refused. */
const maxSubject = 256

export interface EventsOptions {
  readonly database: Database<typeof channelCommands>
  readonly clock: Clock
  readonly media: InboundMediaOptions
  readonly receiver: Omit<Receiver, 'store'>
  readonly warn: (facts: object, text: string) => void
}

type Channel = ChannelIo['channel']

/**
 * Does what an event of a channel says. Resolves when it is on disk, or when it will never be: then the log says why. Throws when it
 * may succeed later.
 */
export async function applyEvent(options: EventsOptions, called: Channel, event: ChannelEvent): Promise<void> {
  const channel = await channelOf(options, called, event)
  if (!channel) return options.warn({ channel: called.sid }, 'an event of an address that has no channel was dropped')
  if (event.kind === 'message') return receiveMessage(options, channel, event)
  if (event.kind === 'status') return reportStatus(options, channel, event)
  await announceTyping(options, channel, event)
}

/** Returns the channel that an event is about: the one that was called, or another one of its account. */
async function channelOf({ database }: EventsOptions, called: Channel, event: ChannelEvent): Promise<Channel | undefined> {
  if (event.kind === 'typing' || event.address === undefined || event.address === called.address) return called
  const { account_sid } = called
  const row = await database.read.one(channelByAddress, { account_sid, proxy_address: canonicalAddress(event.address) })
  return row && { account_sid, sid: row.sid, address: row.proxy_address }
}

async function receiveMessage(options: EventsOptions, channel: Channel, event: MessageEvent): Promise<void> {
  const { account_sid, sid } = channel
  const dropped = (why: string) => options.warn({ channel: sid, why }, 'a message from a channel was dropped')
  if (!isExternalId(event.external_id)) return dropped('its id is empty, too long or no text')
  if (!addressType(event.from)) return dropped('the sender has no address of a known format')
  const { text, media } = fitting(storable(event.text ?? ''))
  const mustHaveMedia = event.text === null || event.text === ''
  const store: Receiver['store'] = async (owner, media) => {
    try {
      return await storeMedia(options.media, owner, media)
    } catch (error) {
      if (!(error instanceof InboundMediaError)) throw error
      // A message without text that may have its media later is not taken without them.
      if (error.temporary && mustHaveMedia) throw error
      options.warn({ channel: sid, why: error.message }, 'media from a channel were left out')
      return null
    }
  }
  try {
    await receive(
      { ...options.receiver, store },
      {
        account_sid,
        from: event.from,
        to: event.to,
        subject: event.subject === null ? null : [...storable(event.subject)].slice(0, maxSubject).join(''),
        body: mustHaveMedia && event.media.length > 0 ? null : text,
        media: [...event.media, ...media],
        attributes: null,
        profile_name: event.name === null ? null : storable(event.name),
        metadata: event.metadata,
        external: { channel: channel.address, external_id: event.external_id },
      },
    )
  } catch (error) {
    if (error instanceof InboundError && error.statusCode !== 403) return dropped(reasons[error.statusCode] ?? 'it was refused')
    if (error instanceof ApiError && !isFailure(error)) return dropped(`code ${error.entry.code}`)
    // Of a suspended account: the provider tries again for some time.
    throw error instanceof InboundError ? refuse('unavailable') : error
  }
}

/** By status: the texts of the errors name addresses, which are not logged. */
const reasons: Readonly<Record<number, string>> = {
  400: 'an address has no known format',
  404: 'there is no open conversation, and no address configuration that creates one',
}

async function reportStatus(options: EventsOptions, { account_sid, sid, address }: Channel, event: StatusEvent): Promise<void> {
  const { external_id, status, error_code } = event
  if (!isExternalId(external_id) || !receiptStatuses.includes(status)) {
    return options.warn({ channel: sid }, 'a status from a channel was dropped: it names no message or no status')
  }
  const report = { message: { external_id, channel: address }, status, error_code }
  await options.database.write('reportStatus', { account_sid, report, now: options.clock.now(account_sid) })
}

/** Tells the people inside that the other one types. It is not stored. */
async function announceTyping(
  { database, clock }: EventsOptions,
  { account_sid }: Channel,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  const [address, proxy] = [canonicalAddress(from), canonicalAddress(to)]
  const found = await findDestination(database.read, { account_sid, address, to: [proxy], now: clock.now(account_sid) })
  if (found?.kind !== 'open' || found.participant_sid === null) return
  const { service_sid, conversation_sid, participant_sid: sid } = found
  const participant = await database.read.one(participantBySid, { service_sid, conversation_sid, sid })
  if (!participant) return
  const identity = participant.identity ?? participant.address_as_given ?? from
  const object = rosterMap(conversation_sid)
  database.publish([{ topic: 'typing', object, service_sid, conversation_sid, identity, user_sid: participant.user_sid ?? '' }])
}
