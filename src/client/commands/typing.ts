import { refuse } from '../../errors.ts'
import { rosterMap } from '../../resources/sync-objects.ts'
import type { ClientCall } from '../call.ts'
import { bodyForm, type Route } from '../tunnel.ts'
import { actorIn, demandMember } from './actor.ts'

/** A client sends one at most in so long. */
const timeoutS = 5

/** Tells the others in a conversation that somebody types. It is not stored. */
async function typing(call: ClientCall) {
  const conversation_sid = bodyForm(call.request).last('ChannelSid')
  if (!conversation_sid) throw refuse('missingParameter', { name: 'ChannelSid' })
  const actor = await actorIn(call, conversation_sid)
  demandMember(call, actor)
  const { identity, user_sid } = call.session
  call.publish({
    topic: 'typing',
    object: rosterMap(actor.conversation.sid),
    service_sid: actor.conversation.service_sid,
    conversation_sid: actor.conversation.sid,
    identity,
    user_sid,
  })
  return { status: 200, body: { typing_timeout: timeoutS } }
}

/** The payload of the notification: one second more, for the way. */
export function typingPayload({
  conversation_sid,
  identity,
}: {
  readonly conversation_sid: string
  readonly identity: string
}): object {
  return { channel_sid: conversation_sid, identity, typing_timeout: timeoutS + 1 }
}

export const typingRoutes: readonly Route<ClientCall>[] = [{ method: 'POST', path: '/v1/Instances/:service/Typing', run: typing }]
