import { createHmac, type KeyObject, randomBytes } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Clock, SystemClock } from '../clock.ts'
import { refuse } from '../errors.ts'
import { parseJsonObject } from '../json.ts'
import type { Reader } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import { sameSecret, type Vault } from '../vault.ts'
import type { Principal } from './admission.ts'
import { type FailedLogin, hasBearer, type Tried } from './auth.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { addressOf, hostOf, isSecure } from './origin.ts'

export interface Logins {
  readonly throttle: LoginThrottle
  readonly onFailedLogin: (login: FailedLogin, tried: Tried) => void
}

export interface OperatorOptions {
  readonly vault: Vault
  readonly adminToken: string
  readonly read: Reader
  /** Null where no server runs: nobody guesses. */
  readonly logins: Logins | null
  /** Sessions last by the system clock, whatever a test does to the other one. */
  readonly clock?: Clock
}

/** The header that names the account in whose name an operator uses `/v1`. */
export const accountHeader = 'x-parley-account'

/** Sessions end so long after their last use, to within `renewAfterMs`. */
const sessionMs = 12 * 3_600_000
const renewAfterMs = 10 * 60_000

/** Links that sign in: how long they can be used, and how many there may be. */
const linkMs = 10 * 60_000
const maxLinks = 100

interface SessionKind {
  readonly generation: string
  readonly cookie: string
}

/** The name under which failures of any operator token count. */
const operator = 'operator'

/**
 * Who may act as the operator: whoever sends the operator token, and a browser that has signed in with it. A browser holds a
 * sealed cookie, which every node of the installation opens and which is void when the token changes; nothing is stored. A cookie
 * counts only in requests of this server's own pages.
 */
export class Operator {
  readonly #options: OperatorOptions
  readonly #clock: Clock
  /**
   * What sessions are recognised by, for each secret key that counts; the first is for new ones. `generation`: what a session was
   * made with: another operator token ends all of them. `cookie`: cookies do not keep the ports of one host apart, so that each
   * installation has a name of its own.
   */
  readonly #sessions: readonly [SessionKind, ...SessionKind[]]
  /** Links that sign in once, with their ends. */
  readonly #links = new Map<string, number>()

  constructor(options: OperatorOptions) {
    this.#options = options
    this.#clock = options.clock ?? new SystemClock()
    const sessionsOf = (key: KeyObject): SessionKind => {
      const derived = (text: string) => createHmac('sha256', key).update(text).digest('hex').slice(0, 32)
      return { generation: derived(`token ${options.adminToken}`), cookie: `parley-${derived('cookie').slice(0, 8)}` }
    }
    const [key, ...former] = options.vault.deriveAll('operator sessions')
    this.#sessions = [sessionsOf(key), ...former.map(sessionsOf)]
  }

  /**
   * Whether the caller is the operator. Throws `tooManyRequests` after too many wrong tokens, and `forbidden` when the page of
   * another site makes the browser send its cookie. `reply`: is given the cookie of a session that is prolonged.
   */
  authorizes(request: FastifyRequest, reply?: FastifyReply): boolean {
    const { adminToken } = this.#options
    if (request.headers.authorization !== undefined) return this.#counted(request, hasBearer(request, adminToken))
    const issued = this.#sessionOf(request)
    if (issued === undefined) return false
    if (!isOwnPage(request)) throw refuse('forbidden')
    if (reply && this.#clock.now() - issued > renewAfterMs) this.#grant(request, reply)
    return true
  }

  /**
   * Returns the principal of the account in whose name the operator asks, for requests that name one instead of having its credentials; undefined
   * for any other. Throws as `authorizes`, `authenticate` when it is not the operator, and `notFound` without such an account.
   */
  actingAs(request: FastifyRequest): Promise<Principal> | undefined {
    const sid = request.headers[accountHeader]
    if (typeof sid !== 'string' || /^Basic /i.test(request.headers.authorization ?? '')) return undefined
    return this.#accountOf(request, sid)
  }

  async #accountOf(request: FastifyRequest, sid: string): Promise<Principal> {
    if (!this.authorizes(request)) throw refuse('authenticate')
    const account = await this.#options.read.one(accountBySid, { sid })
    if (!account) throw refuse('notFound', { path: `/Accounts/${sid.slice(0, 100)}` })
    return { account_sid: account.sid, share: null, exempt: true }
  }

  /** Begins a session for a token, or for the code of a link. Returns its end, null when neither is right. Throws as `authorizes`. */
  signIn(request: FastifyRequest, reply: FastifyReply, by: { readonly token?: string; readonly code?: string }): number | null {
    if (!isOwnPage(request) && request.headers.origin !== undefined) throw refuse('forbidden')
    const { token, code } = by
    const right = token === undefined ? this.#redeems(code ?? '') : sameSecret(token, this.#options.adminToken)
    return this.#counted(request, right) ? this.#grant(request, reply) : null
  }

  /** Makes a link's code, which signs in once. */
  createLink(): { readonly code: string; readonly expires: number } {
    const code = randomBytes(24).toString('base64url')
    const expires = this.#clock.now() + linkMs
    const [oldest] = this.#links.keys()
    if (this.#links.size >= maxLinks && oldest !== undefined) this.#links.delete(oldest)
    this.#links.set(code, expires)
    return { code, expires }
  }

  /** Whether the request comes with a session that has not ended. */
  hasSession(request: FastifyRequest): boolean {
    return this.#sessionOf(request) !== undefined
  }

  /** Takes the cookie from the browser. */
  signOut(request: FastifyRequest, reply: FastifyReply): void {
    if (!isOwnPage(request)) throw refuse('forbidden')
    const gone = this.#sessions.map(({ cookie }) => setCookie(request, cookie, '', 0))
    reply.header('set-cookie', gone)
  }

  #redeems(code: string): boolean {
    const expires = this.#links.get(code)
    this.#links.delete(code)
    return expires !== undefined && this.#clock.now() < expires
  }

  /** Returns `right`, and counts a failure. */
  #counted(request: FastifyRequest, right: boolean): boolean {
    const { logins } = this.#options
    if (!logins) return right
    const address = addressOf(request)
    // Of the right token the hash is always the same: it is known once it has been given.
    logins.throttle.check(address, operator, right ? operator : '')
    if (right) logins.throttle.succeeded(address, operator, operator)
    else {
      logins.throttle.failed(address, operator)
      const { authorization, 'user-agent': agent = null } = request.headers
      logins.onFailedLogin(
        { address, username: operator },
        { interface: authorization === undefined ? 'console' : 'admin', kind: 'operator', name: null, agent },
      )
    }
    return right
  }

  #grant(request: FastifyRequest, reply: FastifyReply): number {
    const issued = this.#clock.now()
    const session = JSON.stringify({ session: this.#sessions[0].generation, issued })
    const sealed = Buffer.from(this.#options.vault.seal(session), 'base64').toString('base64url')
    reply.header('set-cookie', setCookie(request, this.#sessions[0].cookie, sealed, sessionMs / 1000))
    return issued + sessionMs
  }

  /** Returns when the session of the request was issued; undefined without one. */
  #sessionOf({ headers: { cookie = '' } }: FastifyRequest): number | undefined {
    for (const pair of cookie.split(';')) {
      const [name = '', value = ''] = pair.trim().split('=', 2)
      const kind = this.#sessions.find(({ cookie }) => name === cookie || name === `__Host-${cookie}`)
      const issued = kind && this.#opened(value, kind)
      if (issued !== undefined) return issued
    }
    return undefined
  }

  #opened(value: string, { generation }: SessionKind): number | undefined {
    let text: string
    try {
      text = this.#options.vault.open(value)
    } catch {
      return undefined
    }
    const { session, issued } = parseJsonObject(text) ?? {}
    if (session !== generation || typeof issued !== 'number') return undefined
    return this.#clock.now() - issued < sessionMs ? issued : undefined
  }
}

function setCookie(request: FastifyRequest, cookie: string, value: string, maxAgeS: number): string {
  const secure = isSecure(request)
  const name = secure ? `__Host-${cookie}` : cookie
  return `${name}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`
}

/**
 * Whether one of this server's own pages makes the browser send the request. Browsers say so, but to plain HTTP on another machine;
 * there, and by old ones, `Origin` comes with every write.
 */
function isOwnPage(request: FastifyRequest): boolean {
  const { 'sec-fetch-site': site, origin } = request.headers
  const reads = request.method === 'GET' || request.method === 'HEAD'
  // `none`: typed into the address bar.
  if (site !== undefined) return site === 'same-origin' || (site === 'none' && reads)
  if (origin === undefined) return reads
  return URL.canParse(origin) && new URL(origin).host === hostOf(request)?.toLowerCase()
}
