import { seconds } from '../dates.ts'
import { parseStored } from '../json.ts'
import { resource } from '../model/declare.ts'
import { flag, given, oneOf, type Parsed, required, secret, text } from '../model/params.ts'
import { deleteRow, rowsBy } from '../storage/rows.ts'
import type { CredentialRow } from '../storage/schema.ts'

/** The secrets of each type. */
const secretsOf = { apn: ['Certificate', 'PrivateKey'], gcm: ['ApiKey'], fcm: ['Secret'] } as const

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

  /** Removes the credential's bindings, which are useless without it. A notice for each: its response may be cached. */
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
