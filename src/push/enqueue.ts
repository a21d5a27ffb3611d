import { randomUUID } from 'node:crypto'
import { enqueueDelivery } from '../events/queue.ts'
import { shownMedia } from '../media/rows.ts'
import type { Tx } from '../storage/database.ts'
import { conversationBySid, participantByIdentity, userByIdentity } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { BindingRow, MessageRow, ParticipantRow, ServiceRow, UserRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { type Device, type Happening, notifiedDevices, type Occasion, wordingOf } from './decision.ts'
import { type Actor, type Described, type Named, pushData, textOf } from './payload.ts'
import { settingsOf } from './settings.ts'

/** Where and when something happens, and by whom. */
export interface PushScope {
  readonly service: ServiceRow
  readonly now: number
  /** The user who does it with a client SDK. */
  readonly client_identity?: string
  /** The trace context that the deliveries continue. */
  readonly trace?: string
  /** Nobody is notified of what has been. */
  readonly quiet?: true
}

/** Events of these deliveries, as the log names them. */
export const pushEvents: Readonly<Record<Occasion | 'badge', string>> = {
  new_message: 'pushNewMessage',
  added_to_conversation: 'pushAddedToConversation',
  removed_from_conversation: 'pushRemovedFromConversation',
  badge: 'pushBadge',
}

type DeviceRow = BindingRow &
  Pick<ParticipantRow, 'notification_level'> & { participant_sid: string } & Pick<UserRow, 'is_online' | 'reachability_epoch'>

/** The devices of a conversation's participants. A cross join: SQLite keeps its order. */
const devicesIn = shape<{ service_sid: string; conversation_sid: string }>()(
  (db, a) =>
    db
      .selectFrom('participants as p')
      .crossJoin('bindings as device')
      .crossJoin('users as owner')
      .selectAll('device')
      .select(['p.sid as participant_sid', 'p.notification_level', 'owner.is_online', 'owner.reachability_epoch'])
      .where('p.service_sid', '=', a.service_sid)
      .where('p.conversation_sid', '=', a.conversation_sid)
      .whereRef('device.service_sid', '=', 'p.service_sid')
      .whereRef('device.identity', '=', 'p.identity')
      .whereRef('owner.service_sid', '=', 'p.service_sid')
      // Not by the participant's user: SQLite would walk all memberships of the service.
      .whereRef('owner.identity', '=', 'device.identity'),
  { verb: 'select', table: 'participants', joined: ['bindings', 'users'], columns: null },
)
const devicesOf = rowsBy('bindings', ['service_sid', 'identity'])

/** Enqueues the pushes for a new message. */
export async function pushNewMessage(tx: Tx, message: MessageRow, conversation: Named, scope: PushScope): Promise<void> {
  const withMedia = shownMedia(message.media).length > 0
  const happening = { occasion: 'new_message', with_media: withMedia, by: message.author } as const
  await push(tx, scope, happening, {
    conversation,
    message,
    devices: async () => {
      const { service_sid, conversation_sid } = message
      const rows = await tx.all(devicesIn, { service_sid, conversation_sid })
      return rows.map((row) => deviceOf(row, scope.service))
    },
    actor: () => authorOf(tx, message),
  })
}

/** Enqueues the pushes for somebody who was added to a conversation, or removed from it. */
export async function pushMembership(
  tx: Tx,
  occasion: 'added_to_conversation' | 'removed_from_conversation',
  member: ParticipantRow,
  conversation: Named,
  scope: PushScope,
): Promise<void> {
  const { service_sid, identity, notification_level, sid: participant_sid } = member
  if (identity === null) return
  const by = scope.client_identity ?? null
  await push(
    tx,
    scope,
    { occasion, with_media: false, by },
    {
      conversation,
      message: null,
      devices: async () => {
        const bindings = await tx.all(devicesOf, { service_sid, identity })
        const user = bindings.length > 0 ? await tx.one(userByIdentity, { service_sid, identity }) : undefined
        const { is_online = null, reachability_epoch = 0 } = user ?? {}
        return bindings.map((row) =>
          deviceOf({ ...row, participant_sid, notification_level, is_online, reachability_epoch }, scope.service),
        )
      },
      actor: () => memberOf(tx, service_sid, member.conversation_sid, by),
    },
  )
}

/** Enqueues the new badge for the Apple devices of somebody who has read a conversation to its end. */
export async function pushBadge(tx: Tx, before: ParticipantRow, after: ParticipantRow, scope: PushScope): Promise<void> {
  const { service_sid, conversation_sid, identity, last_read_message_index: read } = after
  if (identity === null || read === before.last_read_message_index || !settingsOf(scope.service)?.new_message.badge_count_enabled)
    return
  const bindings = await tx.all(devicesOf, { service_sid, identity })
  const apple = bindings.filter(({ binding_type }) => binding_type === 'apn')
  const conversation = apple.length > 0 && (await tx.one(conversationBySid, { service_sid, sid: conversation_sid }))
  if (!conversation) return
  const isUnread = (index: number | null) => (index ?? -1) < conversation.last_message_index
  if (!isUnread(before.last_read_message_index) || isUnread(read)) return
  const data = pushData('new_message', { conversation, message: null }, { text: null, sound: null })
  await Promise.all(apple.map((binding) => enqueue(tx, 'badge', { binding, participant_sid: after.sid }, null, data, scope)))
}

/** What is read only once it is known to be needed. */
interface Details extends Pick<Described, 'conversation' | 'message'> {
  readonly devices: () => Promise<readonly Device[]>
  readonly actor: () => Promise<Actor>
}

async function push(tx: Tx, scope: PushScope, happening: Happening, details: Details): Promise<void> {
  const { service, quiet } = scope
  const settings = quiet ? undefined : settingsOf(service)
  const wording = settings && wordingOf(settings, happening)
  if (!wording) return
  const devices = notifiedDevices(await details.devices(), happening)
  if (devices.length === 0) return
  const { conversation, message } = details
  const text = textOf(wording.template, { conversation, message, actor: await details.actor() })
  const data = pushData(happening.occasion, details, { text, sound: wording.sound })
  // At once: an engine that is asked over a network answers all of them together.
  await Promise.all(devices.map((device) => enqueue(tx, happening.occasion, device, message, data, scope)))
}

function deviceOf(row: DeviceRow, service: ServiceRow): Device {
  const { participant_sid, notification_level, is_online, reachability_epoch, ...binding } = row
  const known = service.reachability_enabled === 1 && reachability_epoch === service.reachability_epoch
  return { binding, participant_sid, muted: notification_level === 'muted', online: known && is_online === 1 }
}

async function authorOf(tx: Tx, { service_sid, author, participant_sid }: MessageRow): Promise<Actor> {
  const user = await tx.one(userByIdentity, { service_sid, identity: author })
  return { name: user?.friendly_name ?? author, sid: participant_sid ?? author }
}

/** Whoever changes something by REST has no name but the one that the vendor gives the system. */
async function memberOf(tx: Tx, service_sid: string, conversation_sid: string, identity: string | null): Promise<Actor> {
  if (identity === null) return { name: 'system', sid: 'system' }
  const [user, member] = await Promise.all([
    tx.one(userByIdentity, { service_sid, identity }),
    tx.one(participantByIdentity, { service_sid, conversation_sid, identity }),
  ])
  return { name: user?.friendly_name ?? identity, sid: member?.sid ?? identity }
}

/** One delivery for each device: it is the subject, so that it gets its pushes in order and none waits for another device. */
async function enqueue(
  tx: Tx,
  event: keyof typeof pushEvents,
  { binding, participant_sid }: Pick<Device, 'binding' | 'participant_sid'>,
  message: MessageRow | null,
  data: ReturnType<typeof pushData>,
  scope: PushScope,
): Promise<void> {
  const idempotency_token = randomUUID()
  const delivery = {
    kind: 'push' as const,
    account_sid: binding.account_sid,
    service_sid: binding.service_sid,
    target_sid: binding.credential_sid,
    subject_sid: binding.sid,
    event_type: pushEvents[event],
    method: 'POST' as const,
    url: '',
    form: JSON.stringify({ ...data, twi_message_id: `RU${idempotency_token.replaceAll('-', '')}` }),
    idempotency_token,
    message_sid: message?.sid ?? null,
    participant_sid,
  }
  await enqueueDelivery(tx, delivery, scope)
}
