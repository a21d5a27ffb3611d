import { refuse } from '../../errors.ts'
import { resource } from '../../model/declare.ts'
import { given, sid } from '../../model/params.ts'
import { serviceOfAccount } from '../../storage/lookups.ts'
import type { AccountRow } from '../../storage/schema.ts'
import { closedTimer, inactiveTimer } from '../conversations/conversation.ts'
import { refuseForeign } from '../messaging-service.ts'

/** https://www.twilio.com/docs/conversations/api/configuration-resource */
export const configuration = resource<AccountRow>()({
  name: 'Configuration',
  path: 'Configuration',
  under: 'account',
  table: 'accounts',
  sid: null,
  row: ({ account }) => account.sid,
  params: {
    DefaultChatServiceSid: sid('service', 'serviceNotFound'),
    DefaultMessagingServiceSid: sid('messagingService', 'invalidMessagingServiceSid'),
    DefaultInactiveTimer: inactiveTimer,
    DefaultClosedTimer: closedTimer,
  },
  async load(read, p, { account }) {
    await refuseForeign(read, p.DefaultMessagingServiceSid, account)
    const service_sid = p.DefaultChatServiceSid
    if (!service_sid) return
    if (!(await read.one(serviceOfAccount, { sid: service_sid, account_sid: account.sid }))) throw refuse('serviceNotFound')
  },
  update: (before, p) => ({
    ...before,
    default_service_sid: p.DefaultChatServiceSid ?? before.default_service_sid,
    default_messaging_service_sid: p.DefaultMessagingServiceSid ?? before.default_messaging_service_sid,
    default_inactive_timer: given(p.DefaultInactiveTimer, before.default_inactive_timer),
    default_closed_timer: given(p.DefaultClosedTimer, before.default_closed_timer),
  }),
  represent: (row, self, urls) => ({
    account_sid: row.sid,
    default_chat_service_sid: row.default_service_sid,
    default_messaging_service_sid: row.default_messaging_service_sid,
    default_inactive_timer: row.default_inactive_timer,
    default_closed_timer: row.default_closed_timer,
    url: self,
    links: {
      service: `${urls.root}/Services/${row.default_service_sid}/Configuration`,
      webhooks: `${self}/Webhooks`,
    },
  }),
})
