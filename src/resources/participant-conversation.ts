import { seconds } from '../dates.ts'
import { refuse } from '../errors.ts'
import { resource } from '../model/declare.ts'
import { type Parsed, text } from '../model/params.ts'
import { canonicalAddress } from './conversations/address-formats.ts'
import { timersToJson } from './conversations/conversation.ts'
import { type Member, type MembershipRow, membershipPage } from './conversations/memberships.ts'

const filters = { Identity: text({}), Address: text({}) }

/** https://www.twilio.com/docs/conversations/api/participant-conversation-resource */
export const participantConversations = resource<MembershipRow>()({
  name: 'ParticipantConversation',
  path: 'ParticipantConversations',
  under: 'service',
  table: 'participants',
  sid: 'participant',
  view: {
    page: async (read, facts, p, slice) => membershipPage(read, facts, memberOf(p), slice),
  },
  params: {},

  represent: (row, _self, urls) => {
    const conversation = `${urls.family}/Conversations/${row.conversation_sid}`
    return {
      account_sid: row.account_sid,
      chat_service_sid: row.service_sid,
      conversation_sid: row.conversation_sid,
      participant_sid: row.sid,
      conversation_friendly_name: row.conversation.friendly_name,
      conversation_state: row.conversation.state,
      conversation_timers: timersToJson(row.conversation),
      conversation_attributes: row.conversation.attributes,
      conversation_date_created: seconds(row.conversation.date_created),
      conversation_date_updated: seconds(row.conversation.date_updated),
      conversation_created_by: row.conversation.created_by,
      conversation_unique_name: row.conversation.unique_name,
      participant_user_sid: row.user_sid,
      participant_identity: row.identity,
      participant_messaging_binding: bindingToJson(row),
      links: { participant: `${conversation}/Participants/${row.sid}`, conversation },
    }
  },

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
function bindingToJson(row: MembershipRow): object | null {
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
