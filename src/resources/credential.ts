import { seconds } from '../dates.ts'
import { parseStored } from '../json.ts'
import { resource } from '../model/declare.ts'
import { flag, given, oneOf, type Parsed, required, secret, text } from '../model/params.ts'
import { factsInService } from '../model/scope.ts'
import { deleteRow, insert } from '../storage/rows.ts'
import type { CredentialRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { notifiable, unreachableWithout } from './services/binding.ts'

/**
 * The secrets of each type. The vendor takes APNs certificates alone; the JSON in `Secret` is ours: `topic`, and for a key in place of a
 * certificate `key_id` and `team_id`.
 */
const secretsOf = { apn: ['Certificate', 'PrivateKey', 'Secret'], gcm: ['ApiKey'], fcm: ['Secret'] } as const

const params = {
  Type: required(oneOf(['apn', 'gcm', 'fcm'], { invalid: 'invalidValue' })),
  FriendlyName: text({ max: 64, tooLong: 'friendlyNameTooLong' }),
  Certificate: secret(),
  PrivateKey: secret(),
  Sandbox: flag(),
  ApiKey: secret(),
  Secret: secret(),
}

type Given = Parsed<typeof params>
type Type = keyof typeof secretsOf

const someBindings = shape<{ credential_sid: string; max: number }>()((db, a) =>
  db.selectFrom('bindings').selectAll().where('credential_sid', '=', a.credential_sid).limit(a.max),
)

/** https://www.twilio.com/docs/conversations/api/credential-resource */
export const credentials = resource<CredentialRow>()({
  name: 'Credential',
  path: 'Credentials',
  under: 'account',
  table: 'credentials',
  sid: 'credential',
  params,

  create(p) {
    const type = p.Type ?? 'apn'
    return {
      friendly_name: p.FriendlyName ?? null,
      type,
      sandbox: sandbox(type, p, null),
      secrets: secrets(type, p, '{}'),
    }
  },

  update(before, p) {
    const type = p.Type ?? before.type
    return {
      ...before,
      friendly_name: given(p.FriendlyName, before.friendly_name),
      type,
      sandbox: sandbox(type, p, before.sandbox),
      secrets: secrets(type, p, before.secrets),
    }
  },

  remove: () => {},

  /** The credential's bindings, which are useless without it, are gone from here on, and removed in batches. */
  async afterWrite(tx, { before, after }, { now }) {
    if (!before || after || (await tx.all(someBindings, { credential_sid: before.sid, max: 1 })).length === 0) return
    await insert(tx, 'removals', { sid: before.sid, date_created: now, service_sid: null })
    tx.notify({ topic: 'removal' })
    // Clears the whole cache of responses.
    tx.notify({ topic: 'changed', table: 'accounts', sid: before.account_sid, revision: 0 })
  },
  async cleanUp(tx, { sid: credential_sid, date_created: now }, max, apply) {
    const rows = await tx.all(someBindings, { credential_sid, max })
    for (const row of rows) {
      const user = await unreachableWithout(tx, row)
      await tx.run(deleteBinding, row)
      const facts = user && (await factsInService(tx, row, now))
      if (facts) for (const step of notifiable(user, false, facts)) await apply(step, facts)
    }
    return rows.length
  },

  represent: (row, self) => ({
    sid: row.sid,
    account_sid: row.account_sid,
    friendly_name: row.friendly_name,
    type: row.type,
    sandbox: row.sandbox,
    date_created: seconds(row.date_created),
    date_updated: seconds(row.date_updated),
    url: self,
  }),

  list: {
    key: 'credentials',
    size: 50,
    max: 1000,
    params: {},
    order: () => ({ by: 'date_created', direction: 'asc', where: [] }),
  },
})

const deleteBinding = deleteRow('bindings', ['service_sid', 'sid'])

/** Only APN has a sandbox. */
function sandbox(type: Type, p: Given, before: CredentialRow['sandbox']): CredentialRow['sandbox'] {
  if (type !== 'apn') return null
  const chosen = p.Sandbox ?? null
  return chosen === null ? (before ?? 'False') : chosen ? 'True' : 'False'
}

/** Returns the secrets of this type as JSON; those of another type are dropped. The parameters are encrypted already. */
function secrets(type: Type, p: Given, before: string): string {
  const stored = parseStored<Partial<Record<string, string>>>(before)
  const secrets = secretsOf[type].map((name) => [name, p[name] === undefined ? stored[name] : p[name]] as const)
  return JSON.stringify(Object.fromEntries(secrets.filter(([, value]) => value)))
}
