import { seconds } from '../dates.ts'
import { parseStored } from '../json.ts'
import { resource } from '../model/declare.ts'
import { flag, given, oneOf, type Parsed, required, secret, text } from '../model/params.ts'
import { deleteRow, rowsBy } from '../storage/rows.ts'
import type { CredentialRow } from '../storage/schema.ts'

/** What each kind of push service asks for. */
const secretsOf = { apn: ['Certificate', 'PrivateKey'], gcm: ['ApiKey'], fcm: ['Secret'] } as const

const params = {
  Type: required(oneOf(['apn', 'gcm', 'fcm'], { invalid: 'invalidValue' })),
  FriendlyName: text({ max: 256, tooLong: 'friendlyNameTooLong' }),
  Certificate: secret(),
  PrivateKey: secret(),
  Sandbox: flag(),
  ApiKey: secret(),
  Secret: secret(),
}

type Given = Parsed<typeof params>
type Type = keyof typeof secretsOf

const bindingsOf = rowsBy('bindings', ['credential_sid'])
const deleteBindings = deleteRow('bindings', ['credential_sid'])

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

  /** Nothing can be pushed to a binding without its credential. Each is told of: they may be kept in memory as answers. */
  async afterWrite(tx, { before, after }) {
    if (!before || after) return
    const bindings = await tx.all(bindingsOf, { credential_sid: before.sid })
    if (bindings.length === 0) return
    await tx.run(deleteBindings, { credential_sid: before.sid })
    for (const { sid, revision } of bindings) tx.notify({ topic: 'changed', table: 'bindings', sid, revision })
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

/** Only Apple's service has one to choose. */
function sandbox(type: Type, p: Given, before: CredentialRow['sandbox']): CredentialRow['sandbox'] {
  if (type !== 'apn') return null
  const chosen = p.Sandbox ?? null
  return chosen === null ? (before ?? 'False') : chosen ? 'True' : 'False'
}

/** Those of this type, each sealed already; what another type left behind goes. */
function secrets(type: Type, p: Given, before: string): string {
  const held = parseStored<Partial<Record<string, string>>>(before)
  const kept = secretsOf[type].map((name) => [name, p[name] === undefined ? held[name] : p[name]] as const)
  return JSON.stringify(Object.fromEntries(kept.filter(([, value]) => value)))
}
