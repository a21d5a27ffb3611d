import type { FastifyRequest } from 'fastify'
import type { OperatorRole } from '../operator-roles.ts'
import { hasCredentials, withoutCredentials } from '../urls.ts'

/**
 * What operators may do: `read` what there is, but for texts of messages and files (`text`); `act` in conversations and on
 * deliveries; `manage` accounts, keys, channels and settings; read the `audit` log.
 */
export const rights = ['read', 'text', 'act', 'manage', 'audit'] as const
export type Right = (typeof rights)[number]

const rightsOf: Readonly<Record<OperatorRole, readonly Right[]>> = {
  viewer: ['read'],
  support: ['read', 'text', 'act'],
  admin: rights,
  auditor: ['audit'],
}

/** Who makes a request of the operator's API. */
export interface Caller {
  readonly type: 'operator'
  /** SID of the operator; `operator` for the token of the installation, `openid:` and the subject after OpenID Connect. */
  readonly id: string
  readonly name: string
}

/** A caller and what they may do. */
export interface Access extends Caller {
  readonly role: OperatorRole
  readonly rights: ReadonlySet<Right>
  /** The accounts that there are for them; null: all. */
  readonly accounts: ReadonlySet<string> | null
}

interface Granted extends Pick<Caller, 'id' | 'name'> {
  readonly role: OperatorRole
  /** Whether a viewer sees texts of messages. */
  readonly text: boolean
  readonly accounts: readonly string[] | null
}

export function accessOf({ id, name, role, text, accounts }: Granted): Access {
  const own = new Set(rightsOf[role])
  if (text && own.has('read')) own.add('text')
  return { type: 'operator', id, name, role, rights: own, accounts: accounts && new Set(accounts) }
}

/** Whoever has the operator token of the installation: it works when nothing else does. */
export const installationAccess = accessOf({
  id: 'operator',
  name: 'operator',
  role: 'admin',
  text: true,
  accounts: null,
})

/** Whether there is such an account for the caller. */
export function sees({ accounts }: Pick<Access, 'accounts'>, account_sid: string): boolean {
  return accounts === null || accounts.has(account_sid)
}

/** Says what is missing, as a sentence. */
export function lacks({ role }: Pick<Access, 'role'>, right: Right): string {
  return `this needs the right ${right}, which the role ${role} does not have`
}

const texts = /Message|Media/
const acts = /(?:Conversation|Participants?|User|Message|Media|Receipt|MediaSet)$/

/**
 * Returns the rights that an operation of `/v1` needs of an operator. What is not about conversations and the people in them is a
 * setting, whatever is added.
 */
export function rightsForOperation(method: string, operation: string | undefined): readonly Right[] {
  // No operation is there: the caller is told so.
  if (operation === undefined) return ['read']
  const text: readonly Right[] = texts.test(operation) ? ['text'] : []
  if (method === 'GET' || method === 'HEAD' || operation === 'FetchMediaSet') return ['read', ...text]
  return [acts.test(operation) ? 'act' : 'manage', ...text]
}

const settingsWithUrls = /Webhook|ConfigurationAddress/
const isUrl = (text: string) => /^https?:/i.test(text.trim()) && URL.canParse(text)

/**
 * Returns the body of a response of `/v1` as an operator sees it: user names and passwords in the URLs of webhooks are for those who
 * may set them.
 */
export function shownTo({ rights }: Pick<Access, 'rights'>, operation: string | undefined, body: string): string {
  if (operation === undefined || !settingsWithUrls.test(operation) || rights.has('manage')) return body
  return JSON.stringify(JSON.parse(body), (_name, value) =>
    typeof value === 'string' && isUrl(value) && hasCredentials(value) ? withoutCredentials(value) : value,
  )
}

/** The caller of a request of the operator's API that was admitted. */
export function callerOf({ access }: Pick<FastifyRequest, 'access'>): Access {
  if (access === null) throw new Error('a request without a caller was admitted')
  return access
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, of the operator's API; null where anybody may. */
    access: Access | null
  }
}
