import { refuse } from '../errors.ts'
import { resource } from '../model/declare.ts'
import { type Parsed, text } from '../model/params.ts'
import { column, computed, linksOfFamily, presentDates, representation } from '../model/representation.ts'
import { canonicalAddress } from './conversations/address-formats.ts'
import { type Member, type MemberRow, pageOfMember } from './conversations/memberships.ts'
import { bindingColumns } from './conversations/participants/messaging-binding.ts'

const filters = { Identity: text({}), Address: text({}) }

type Key = 'participant_sid' | 'conversation_timers' | `participant_${'user_sid' | 'identity' | 'messaging_binding'}`

/** https://www.twilio.com/docs/conversations/api/participant-conversation-resource */
export const participantConversations = resource<MemberRow, Key>()({
  name: 'ParticipantConversation',
  path: 'ParticipantConversations',
  under: 'service',
  table: 'participants',
  sid: 'participant',
  view: {
    page: async (read, facts, p, slice) => pageOfMember(read, facts, memberOf(p), slice),
  },
  params: {},

  represent: representation<MemberRow, Key>()({
    account_sid: column.word('account_sid'),
    chat_service_sid: column.word('service_sid'),
    conversation_sid: column.word('conversation_sid'),
    participant_sid: column.word('sid'),
    conversation_friendly_name: column.text('conversation_friendly_name'),
    conversation_state: column.word('conversation_state'),
    conversation_timers: presentDates({ date_inactive: 'conversation_date_inactive', date_closed: 'conversation_date_closed' }),
    conversation_attributes: column.text('conversation_attributes'),
    conversation_date_created: column.date('conversation_date_created'),
    conversation_date_updated: column.date('conversation_date_updated'),
    conversation_created_by: column.text('conversation_created_by'),
    conversation_unique_name: column.text('conversation_unique_name'),
    participant_user_sid: column.text('user_sid'),
    participant_identity: column.text('identity'),
    participant_messaging_binding: computed(bindingColumns, bindingToJson, 'null'),
    links: linksOfFamily({
      participant: ['/Conversations/', { column: 'conversation_sid' }, '/Participants/', { column: 'sid' }],
      conversation: ['/Conversations/', { column: 'conversation_sid' }],
    }),
  }),

  list: {
    key: 'conversations',
    size: 50,
    max: 1000,
    params: filters,
    order: () => ({ by: 'conversation_sid', direction: 'asc', where: [] }),
  },
})

/** Returns whose conversations are asked for. Throws unless exactly one member is given. */
function memberOf(p: Parsed<typeof filters>): Member {
  if (p.Identity && p.Address) throw refuse('oneUserIdentifier')
  if (p.Identity) return { identity: p.Identity }
  if (p.Address) return { address: canonicalAddress(p.Address) }
  throw refuse('invalidParameter', { text: 'Missing required parameter Identity in the query' })
}

/** Has all six keys, unlike the binding in a participant (documented by example). */
function bindingToJson(row: Pick<MemberRow, (typeof bindingColumns)[number]>): object | null {
  if (row.binding_type === null) return null
  return {
    address: row.address_as_given ?? row.address,
    proxy_address: row.proxy_address,
    type: row.binding_type,
    level: row.binding_level,
    name: row.binding_name,
    projected_address: row.projected_address,
  }
}
