import { ancestorsOfChildren, type Call, type Operation, type Pipeline, runPreAction } from '../api/requests.ts'
import { refuse } from '../errors.ts'
import { isJsonObject, parseJsonObject } from '../json.ts'
import type { ChangeRequest, NamedChange } from '../model/change.ts'
import type { BaseRow } from '../model/declare.ts'
import { Form } from '../model/form.ts'
import { parseParams, snakeCase } from '../model/params.ts'
import { type AncestorSids, collectionUrl, represent, urlsFor } from '../model/represent.ts'
import { newSid, orderedSid } from '../sids.ts'
import { conversations } from './conversations/conversation.ts'
import { participants } from './conversations/participants/participant.ts'

const most = 10

/** Where the JSON of a participant has the value of each parameter: `MessagingBinding.Address` in `messaging_binding.address`. */
const paths = Object.keys(participants.params).map((name) => ({ name, path: name.split('.').map(snakeCase) }))

/**
 * https://www.twilio.com/docs/conversations/api/conversation-with-participants-resource
 *
 * A conversation and its participants, all or nothing, by the rules of each. One transaction makes them all, so nobody can ever
 * see the conversation `initializing`: it is active (or inactive) from the start, and no change of state is told.
 */
export const conversationWithParticipants: Operation = {
  name: 'ConversationWithParticipants',
  path: '/ConversationWithParticipants',
  method: 'POST',
  resource: conversations,
  async run(pipeline, call) {
    const now = pipeline.clock.now()
    const conversation = asked(call, now, newSid('conversation', now), [], parseParams(conversations.params, 'create', call.body))
    // Made in one instant, and listed in the order given.
    const members = givenParticipants(call.body).map((form) =>
      asked(call, now, orderedSid('participant', now), [conversation.sid], parseParams(participants.params, 'create', form)),
    )
    const { row, ancestors } = await pipeline.writeAll(await allowed(pipeline, conversation, members))
    if (!row) throw new Error('a conversation that was made has a row')
    return { status: members.length > 0 ? 202 : 201, body: render(row, ancestors, call) }
  },
}

function asked(
  { path, webhooks }: Call,
  now: number,
  sid: string,
  parents: readonly string[],
  params: Readonly<Record<string, unknown>>,
): ChangeRequest {
  return { verb: 'create', path: { ...path, parents }, params, sid, now, webhooks, source: 'API' }
}

/** The forms in which the participants could have been added one by one. Throws 50426, 50424. */
function givenParticipants(body: Form): Form[] {
  const given = body.all('Participant')
  // An official client's null.
  if (given.length === 1 && given[0] === '') return []
  if (given.length > most) throw refuse('tooManyParticipants')
  return given.map(participantForm)
}

/** Reads `{"identity":"alice","messaging_binding":{"projected_address":"+1…"}}`; unknown keys are ignored, like parameters. */
function participantForm(text: string): Form {
  const given = parseJsonObject(text)
  if (!given) throw refuse('invalidParticipant')
  const pairs = paths.flatMap(({ name, path }): [string, string][] => {
    const value = path.reduce<unknown>(valueAt, given)
    if (value === undefined || value === null) return []
    if (typeof value !== 'string') throw refuse('invalidParticipant')
    return [[name, value]]
  })
  return new Form(Object.fromEntries(pairs))
}

function valueAt(holder: unknown, key: string): unknown {
  if (holder === undefined || holder === null) return undefined
  if (!isJsonObject(holder)) throw refuse('invalidParticipant')
  return Object.hasOwn(holder, key) ? holder[key] : undefined
}

/** Asks the pre-action webhook about the conversation and then about each participant; a refusal of one is a refusal of all. */
async function allowed(
  pipeline: Pipeline,
  conversation: ChangeRequest,
  members: readonly ChangeRequest[],
): Promise<[NamedChange, ...NamedChange[]]> {
  const first = await runPreAction(pipeline, conversations, conversation)
  const ancestors =
    first.webhooks && members.length > 0 ? await ancestorsOfChildren(pipeline.read, conversations, first) : undefined
  const rest = await Promise.all(members.map((member) => runPreAction(pipeline, participants, member, ancestors)))
  // One instant for all, whichever of the answers came last.
  const now = pipeline.clock.now()
  const change = (resource: string) => (request: ChangeRequest) => ({ resource, request: { ...request, now } })
  return [change(conversations.name)(first), ...rest.map(change(participants.name))]
}

/** The conversation as its own address shows it, but for two differences that the official examples have. */
function render(row: BaseRow, ancestors: AncestorSids, call: Call): string {
  const urls = urlsFor(call.base, ancestors, call.family)
  const collection = collectionUrl(conversations, ancestors, urls)
  const { url, links, ...rest } = represent(conversations, row, collection, urls)
  const { export: _export, ...linked } = isJsonObject(links) ? links : {}
  return JSON.stringify({ ...rest, links: linked, url })
}
