import { ancestorsOfChildren, type Call, type Operation, type Pipeline, runPreAction } from '../api/requests.ts'
import { refuse } from '../errors.ts'
import { isJsonObject, parseJsonObject } from '../json.ts'
import type { ChangeRequest, NamedChange } from '../model/change.ts'
import type { BaseRow } from '../model/declare.ts'
import { type Form, formOf } from '../model/form.ts'
import { longestForm, parseParams, snakeCase } from '../model/params.ts'
import { collectionUrl, represent, urlsFor } from '../model/represent.ts'
import type { AncestorSids } from '../model/scope.ts'
import { newSid } from '../sids.ts'
import { conversations } from './conversations/conversation.ts'
import { participants } from './conversations/participants/participant.ts'

const maxParticipants = 10

/** The path of each parameter in a participant's JSON: `messaging_binding.address` for `MessagingBinding.Address`. */
const paths = Object.keys(participants.params).map((name) => ({ name, path: name.split('.').map(snakeCase) }))

/**
 * https://www.twilio.com/docs/conversations/api/conversation-with-participants-resource
 *
 * Creates a conversation and its participants, all or none, by the rules of each, in one transaction. The conversation is
 * initializing, and due to become active at once: the response alone shows that state (documented: poll until it is active).
 */
export const conversationWithParticipants: Operation = {
  name: 'ConversationWithParticipants',
  path: '/ConversationWithParticipants',
  method: 'POST',
  maxBodyBytes: longestForm(conversations.params) + maxParticipants * longestParticipant(),
  resource: conversations,
  async run(pipeline, call) {
    const now = pipeline.clock.now(call.path.account_sid)
    const params = parseParams(conversations.params, 'create', call.body)
    const alone = createRequest(call, now, newSid('conversation', now), [], params)
    // Created at one instant, but listed in the order given: their SIDs are ordered.
    const members = givenParticipants(call.body).map((form, i, { length }): ChangeRequest => {
      const given = parseParams(participants.params, 'create', form)
      const request = createRequest(call, now, newSid('participant', now), [alone.sid], given)
      return { ...request, setup: i === length - 1 ? 'complete' : 'ongoing' }
    })
    pipeline.actions?.count(conversations, 'create', call.path)
    const conversation: ChangeRequest = members.length > 0 ? { ...alone, setup: 'ongoing' } : alone
    const { row, ancestors } = await pipeline.writeAll(await allowedChanges(pipeline, conversation, members))
    if (!row) throw new Error('no row of the created conversation')
    return { status: members.length > 0 ? 202 : 201, body: render(row, ancestors, call) }
  },
}

function createRequest(
  { path, webhooks, trace }: Call,
  now: number,
  sid: string,
  parents: readonly string[],
  params: Readonly<Record<string, unknown>>,
): ChangeRequest {
  const traced = trace === undefined ? {} : { trace }
  return { verb: 'create', path: { ...path, parents }, params, sid, now, webhooks, source: 'API', ...traced }
}

/** The text of a participant is JSON: a character of a value may be escaped by another one. */
function longestParticipant(): number {
  return 2 * longestForm(participants.params)
}

/** Returns a form for each participant, as the operation for a single one takes it. Throws 50426, 50424. */
function givenParticipants(body: Form): Form[] {
  const given = body.all('Participant')
  // The null of an official client.
  if (given.length === 1 && given[0] === '') return []
  if (given.length > maxParticipants) throw refuse('tooManyParticipants')
  return given.map(participantForm)
}

/** Parses `{"identity":"alice","messaging_binding":{"projected_address":"+1…"}}`; unknown keys are ignored, like parameters. */
function participantForm(text: string): Form {
  const given = parseJsonObject(text)
  if (!given) throw refuse('invalidParticipant')
  const pairs = paths.flatMap(({ name, path }): [string, string][] => {
    const value = path.reduce<unknown>(valueAt, given)
    if (value === undefined || value === null) return []
    if (typeof value !== 'string') throw refuse('invalidParticipant')
    return [[name, value]]
  })
  return formOf(Object.fromEntries(pairs))
}

function valueAt(holder: unknown, key: string): unknown {
  if (holder === undefined || holder === null) return undefined
  if (!isJsonObject(holder)) throw refuse('invalidParticipant')
  return Object.hasOwn(holder, key) ? holder[key] : undefined
}

/** Calls the pre-action webhook for the conversation and then for each participant; a veto of one is a veto of all. */
async function allowedChanges(
  pipeline: Pipeline,
  conversation: ChangeRequest,
  members: readonly ChangeRequest[],
): Promise<[NamedChange, ...NamedChange[]]> {
  const first = await runPreAction(pipeline, conversations, conversation)
  const ancestors =
    first.webhooks && members.length > 0 ? await ancestorsOfChildren(pipeline.read, conversations, first) : undefined
  const rest = await Promise.all(members.map((member) => runPreAction(pipeline, participants, member, { ancestors })))
  // All changes have one time, that of the transaction.
  const now = pipeline.clock.now(conversation.path.account_sid)
  const change = (resource: string) => (request: ChangeRequest) => ({ resource, request: { ...request, now } })
  return [change(conversations.name)(first), ...rest.map(change(participants.name))]
}

/** Returns the JSON of the conversation, with two differences that the official examples have: no export link, `url` last. */
function render(row: BaseRow, ancestors: AncestorSids, call: Call): string {
  const urls = urlsFor(call.base, ancestors, call.family)
  const collection = collectionUrl(conversations, ancestors, urls)
  const { url, links, ...rest } = represent(conversations, row, collection, urls)
  const { export: _export, ...linked } = isJsonObject(links) ? links : {}
  return JSON.stringify({ ...rest, links: linked, url })
}
