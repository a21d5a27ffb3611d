import { beforehand, type Call, type Operation, type Pipeline } from '../api/requests.ts'
import { refuse } from '../errors.ts'
import { type Asked, type ChangeRequest, propose } from '../model/change.ts'
import type { Facts } from '../model/declare.ts'
import { Form } from '../model/form.ts'
import { parseParams } from '../model/params.ts'
import { type Above, collectionUrl, represent, urlsFor } from '../model/represent.ts'
import { locate } from '../model/scope.ts'
import { newSid, orderedSid } from '../sids.ts'
import type { ConversationRow } from '../storage/schema.ts'
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
    const conversation = asked(call, now, newSid('CH', now), [], parseParams(conversations.params, 'create', call.body))
    // Made in one instant, and listed in the order given.
    const members = givenParticipants(call.body).map((form) =>
      asked(call, now, orderedSid('MB', now), [conversation.sid], parseParams(participants.params, 'create', form)),
    )
    const { row, above } = await pipeline.writeAll(await allowed(pipeline, conversation, members))
    return { status: members.length > 0 ? 202 : 201, body: render(row as ConversationRow, above, call) }
  },
}

function asked(
  { address, webhooks }: Call,
  now: number,
  sid: string,
  parents: readonly string[],
  params: Readonly<Record<string, unknown>>,
): ChangeRequest {
  return { verb: 'create', address: { ...address, parents }, params, sid, now, webhooks, source: 'API' }
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
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    throw refuse('invalidParticipant')
  }
  if (!isObject(given)) throw refuse('invalidParticipant')
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
  if (!isObject(holder)) throw refuse('invalidParticipant')
  return Object.hasOwn(holder, key) ? holder[key] : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function snakeCase(name: string): string {
  return name.replace(/(?<=.)[A-Z]/g, '_$&').toLowerCase()
}

/** Asks the pre-action webhook about the conversation and then about each participant; a refusal of one is a refusal of all. */
async function allowed(
  pipeline: Pipeline,
  conversation: ChangeRequest,
  members: readonly ChangeRequest[],
): Promise<[Asked, ...Asked[]]> {
  const first = await beforehand(pipeline, conversations, conversation)
  const above = first.webhooks && members.length > 0 ? await aboveNew(pipeline, first) : undefined
  const rest = await Promise.all(members.map((member) => beforehand(pipeline, participants, member, above)))
  // One instant for all, whichever of the answers came last.
  const now = pipeline.clock.now()
  const change = (resource: string) => (request: ChangeRequest) => ({ resource, request: { ...request, now } })
  return [change(conversations.name)(first), ...rest.map(change(participants.name))]
}

/** What lies above the participants of a conversation that is not stored yet. */
async function aboveNew({ read }: Pipeline, conversation: ChangeRequest): Promise<Omit<Facts, 'now'>> {
  const above = await locate(read, conversations, conversation.address)
  const { row } = await propose(read, conversations, conversation, above)
  return { ...above, parents: row ? [row] : [] }
}

/** The conversation as its own address shows it, but for two differences that the official examples have. */
function render(row: ConversationRow, above: Above, call: Call): string {
  const urls = urlsFor(call.base, above, call.family)
  const shown = represent(conversations, row, collectionUrl(conversations, above, urls), urls) as Readonly<
    Record<string, unknown>
  >
  const { url, links, ...rest } = shown as { url: string; links: Readonly<Record<string, string>> }
  const { export: _export, ...linked } = links
  return JSON.stringify({ ...rest, links: linked, url })
}
