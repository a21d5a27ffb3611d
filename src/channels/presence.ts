import { slotOf } from '../events/queue.ts'
import type { Database, Notice } from '../storage/database.ts'
import { channelByAddress, participantsOfConversation } from '../storage/lookups.ts'
import type { ParticipantRow } from '../storage/schema.ts'
import type { Carrier, Carriers } from './carrier.ts'
import { lastReceived } from './external-ids.ts'

/** More are dropped: nobody misses one of many. */
const maxUnderWay = 100

const timeoutMs = 10_000

export interface PresenceOptions {
  readonly database: Pick<Database, 'read' | 'slots' | 'subscribe'>
  readonly carriers: Carriers
}

type Told = Extract<Notice, { topic: 'typing' | 'read' }>

/**
 * Tells channels that can say so that somebody inside types, or has read what has come. Best effort: nothing is stored or tried again.
 * Of several nodes the one that sends the messages of the conversation does it.
 */
export class Presence {
  readonly #options: PresenceOptions
  #underWay = 0

  constructor(options: PresenceOptions) {
    this.#options = options
    options.database.subscribe((notices) => {
      for (const notice of notices) if (notice.topic === 'typing' || notice.topic === 'read') this.#tell(notice)
    })
  }

  #tell(notice: Told): void {
    const { slots } = this.#options.database
    const isMine = slots.mine(slotOf(notice.conversation_sid, slots.count), 0)
    if (!isMine || this.#underWay >= maxUnderWay) return
    this.#underWay++
    this.#tellAll(notice)
      .catch(() => {})
      .finally(() => this.#underWay--)
  }

  async #tellAll(notice: Told): Promise<void> {
    const { read } = this.#options.database
    const { service_sid, conversation_sid } = notice
    for (const participant of await read.all(participantsOfConversation, { service_sid, conversation_sid })) {
      const carrier = await this.#carrierOf(participant)
      if (carrier) await this.#tellOne(notice, participant, carrier).catch(() => {})
    }
  }

  async #carrierOf({ account_sid, address, proxy_address }: ParticipantRow): Promise<Carrier | undefined> {
    const { database, carriers } = this.#options
    if (address === null || proxy_address === null) return undefined
    const channel = await database.read.one(channelByAddress, { account_sid, proxy_address })
    return channel && carriers.of(channel)
  }

  async #tellOne(notice: Told, participant: ParticipantRow, { kind, settings, channel }: Carrier): Promise<void> {
    const { typing, seen } = kind
    if (notice.topic === 'typing' ? !typing : !seen) return
    const address = participant.address_as_given ?? participant.address ?? ''
    // Who types knows it.
    if (notice.topic === 'typing' && notice.identity === address) return
    const { conversation_sid, sid: participant_sid } = participant
    const messageIndex = notice.topic === 'read' ? notice.message_index : Number.MAX_SAFE_INTEGER
    const last = await this.#options.database.read.one(lastReceived, {
      conversation_sid,
      participant_sid,
      message_index: messageIndex,
    })
    const externalId = last?.external_id ?? null
    const io = this.#options.carriers.io(channel, AbortSignal.timeout(timeoutMs))
    if (notice.topic === 'typing') await kind.typing?.(settings, { address, external_id: externalId }, io)
    else if (externalId !== null) await kind.seen?.(settings, externalId, io)
  }
}
