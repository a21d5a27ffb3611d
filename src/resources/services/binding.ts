import { seconds } from '../../dates.ts'
import { parseStored } from '../../json.ts'
import { resource, whenAny } from '../../model/declare.ts'
import { oneOf, repeated, text } from '../../model/params.ts'
import type { BindingRow } from '../../storage/schema.ts'

/** https://www.twilio.com/docs/conversations/api/binding-resource */
export const bindings = resource<BindingRow>()({
  name: 'Binding',
  path: 'Bindings',
  under: 'only service',
  table: 'bindings',
  sid: 'binding',
  // The API neither creates nor updates bindings: devices register themselves.
  params: {},
  remove: () => {},
  represent: (row, self) => ({
    sid: row.sid,
    account_sid: row.account_sid,
    chat_service_sid: row.service_sid,
    date_created: seconds(row.date_created),
    date_updated: seconds(row.date_updated),
    endpoint: row.endpoint,
    identity: row.identity,
    binding_type: row.binding_type,
    credential_sid: row.credential_sid,
    message_types: parseStored<unknown>(row.message_types),
    url: self,
  }),
  list: {
    key: 'bindings',
    size: 50,
    max: 1000,
    params: {
      BindingType: repeated(oneOf(['apn', 'gcm', 'fcm', 'twilsock'], { invalid: 'invalidValue' })),
      Identity: repeated(text({})),
    },
    order: (p) => ({
      by: 'date_created',
      direction: 'asc',
      where: [...whenAny('binding_type', p.BindingType), ...whenAny('identity', p.Identity)],
    }),
  },
})
