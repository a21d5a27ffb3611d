import { seconds } from '../../dates.ts'
import { parseStored } from '../../json.ts'
import { revised } from '../../model/change.ts'
import { type FactsUnder, resource, type Step, stepOf, whenAny } from '../../model/declare.ts'
import { oneOf, repeated, text } from '../../model/params.ts'
import type { Reader } from '../../storage/database.ts'
import { userByIdentity } from '../../storage/lookups.ts'
import type { BindingRow, UserRow } from '../../storage/schema.ts'
import { shape } from '../../storage/shapes.ts'
import { users } from '../users/user.ts'

const anotherOf = shape<{ service_sid: string; identity: string; sid: string }>()((db, a) =>
  db
    .selectFrom('bindings')
    .select('sid')
    .where('service_sid', '=', a.service_sid)
    .where('identity', '=', a.identity)
    .where('sid', '<>', a.sid)
    .limit(1),
)

/** https://www.twilio.com/docs/conversations/api/binding-resource */
export const bindings = resource<BindingRow>()({
  name: 'Binding',
  path: 'Bindings',
  under: 'only service',
  table: 'bindings',
  sid: 'binding',
  // The API neither creates nor updates bindings: devices register themselves (`client/registrations.ts`).
  params: {},
  // A credential's bindings are removed in batches.
  goneWith: { column: 'credential_sid', when: () => true },
  load: async (read, _p, _facts, before) => before && unreachableWithout(read, before),
  remove: () => {},
  steps: (change, facts, user) => (change.verb === 'remove' ? [change, ...notifiable(user, false, facts)] : [change]),
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

/** Reads and locks the user of a binding, if it is their last one. */
export async function unreachableWithout(read: Reader, { service_sid, identity, sid }: BindingRow): Promise<UserRow | null> {
  const user = await read.hold(userByIdentity, { service_sid, identity }, 'change')
  return user && !(await read.one(anotherOf, { service_sid, identity, sid })) ? user : null
}

/** Returns the step that says whether a user has a device to be notified on; none when that is known. */
export function notifiable(user: UserRow | null, is: boolean, facts: FactsUnder<'only service'>): Step[] {
  if (!user || user.is_notifiable === Number(is)) return []
  const after = revised({ ...user, is_notifiable: Number(is) })
  return [stepOf(users, { verb: 'update', before: user, after, cause: 'consequence' }, facts)]
}
