import type { FastifyReply, FastifyRequest } from 'fastify'
import { callerOf, lacks, type Right, sees } from '../api/rights.ts'
import type { Reader } from '../storage/database.ts'
import { serviceBySid } from '../storage/lookups.ts'
import { notFound } from './replies.ts'

/** Returns the account that a request is about; null when there is none. */
type AccountFinder = (request: FastifyRequest, read: Reader) => Promise<string | null>

/** Who may call a route. Each route of the operator's API declares it (`config.access`); what is declared here is all that is checked. */
export interface AccessRule {
  /** Null: whoever is known as an operator. */
  readonly right: Right | null
  /** A further right that some requests need. */
  readonly also?: (request: FastifyRequest) => Right | null
  /**
   * What of the accounts of the installation the route is about: `installation`, which only those may who have all accounts; `own`, the
   * handler shows only those of the caller; `none`; or the one account that is found.
   */
  readonly accounts: 'installation' | 'own' | 'none' | AccountFinder
  /** What is named when there is no such account; by default what the path names. */
  readonly named?: (request: FastifyRequest) => string
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call a route of the operator's API; `anyone` may be nobody who is known. */
    readonly access?: AccessRule | 'anyone'
  }
  interface FastifySchema {
    /** For the description: the right that the route needs. */
    readonly 'x-right'?: Right
  }
}

// Fastify types them as unknown; each rule is for routes that have these parts, which were validated before.
const paramsOf = (request: FastifyRequest) => request.params as Readonly<Record<string, string>>
const queryOf = (request: FastifyRequest) => request.query as Readonly<Record<string, string | undefined>>
const bodyOf = (request: FastifyRequest) => (request.body ?? {}) as Readonly<Record<string, unknown>>

/** A route that needs no account, or shows only those of the caller. */
export function needs(right: Right | null, accounts: 'installation' | 'own' | 'none'): { access: AccessRule } {
  return { access: { right, accounts } }
}

/** A route about the account of its path. */
export function needsInAccount(right: Right): { access: AccessRule } {
  return { access: { right, accounts: async (request) => paramsOf(request).sid ?? null } }
}

/** A route about the service that a parameter of its path names. */
export function needsInService(right: Right, param: string): { access: AccessRule } {
  return { access: { right, accounts: (request, read) => accountOfService(read, paramsOf(request)[param]) } }
}

/** A route about the service that `service_sid` of its query names. */
export function needsInQueriedService(right: Right, also: AccessRule['also'] = () => null): { access: AccessRule } {
  const accounts: AccountFinder = (request, read) => accountOfService(read, queryOf(request).service_sid)
  return { access: { right, also, accounts, named: (request) => queryOf(request).service_sid ?? '' } }
}

/** A route about the account that `account_sid` of its body names. `otherwise`: the one that is meant without it. */
export function needsInGivenAccount(right: Right, otherwise: string): { access: AccessRule } {
  const given = (request: FastifyRequest) => {
    const { account_sid } = bodyOf(request)
    return typeof account_sid === 'string' ? account_sid : null
  }
  return {
    access: {
      right,
      accounts: async (request) => given(request) ?? otherwise,
      named: (request) => given(request) ?? 'the account',
    },
  }
}

async function accountOfService(read: Reader, sid: string | undefined): Promise<string | null> {
  const service = sid === undefined ? undefined : await read.one(serviceBySid, { sid })
  return service?.account_sid ?? null
}

/** Returns the rule of a route. Throws for a route that declares none: the server does not start. */
export function ruleOf({ url, config }: { readonly url: string; readonly config?: { readonly access?: AccessRule | 'anyone' } }) {
  if (config?.access === undefined) throw new Error(`the route ${url} does not declare who may call it`)
  return config.access
}

/** Refuses a caller who lacks a right, before anything of the request is read. */
export function refuseWithoutRight(rule: AccessRule, request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
  const caller = callerOf(request)
  if (rule.right !== null && !caller.rights.has(rule.right)) return reply.code(403).send({ error: lacks(caller, rule.right) })
  if (rule.accounts === 'installation' && caller.accounts !== null) {
    return reply.code(403).send({ error: 'this is for operators of all accounts' })
  }
  return undefined
}

/** Refuses what the caller may not do with a request that has been read, and accounts that there are not for them. */
export async function refuseOthersAccounts(
  rule: AccessRule,
  request: FastifyRequest,
  reply: FastifyReply,
  read: Reader,
): Promise<FastifyReply | undefined> {
  const caller = callerOf(request)
  const further = rule.also?.(request) ?? null
  if (further !== null && !caller.rights.has(further)) return reply.code(403).send({ error: lacks(caller, further) })
  if (caller.accounts === null || typeof rule.accounts === 'string') return undefined
  const account_sid = await rule.accounts(request, read)
  if (account_sid !== null && sees(caller, account_sid)) return undefined
  return rule.named ? notFound(reply, [rule.named(request)]) : notFound(reply)
}
