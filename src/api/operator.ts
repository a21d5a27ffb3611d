import { createHmac, randomBytes } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Clock, SystemClock } from '../clock.ts'
import { refuse } from '../errors.ts'
import type { Reader } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import { sameSecret, type Vault } from '../vault.ts'
import type { Principal } from './admission.ts'
import { bearerOf, type FailedLogin, type Tried } from './auth.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { type OpenId, OpenIdError } from './openid.ts'
import { OperatorTokens, type OperatorTokensOptions, operatorTokenId } from './operator-tokens.ts'
import { addressOf, hostOf } from './origin.ts'
import { type Access, installationAccess, rightsForOperation, sees } from './rights.ts'
import { type Begun, type Session, SessionCookies } from './sessions.ts'

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
  /** Absent where operators sign in with tokens alone. */
  readonly openId?: OpenId | null
  /** Called when an operator's token was used, about once a minute; absent where nothing is recorded. */
  readonly onTokenUsed?: OperatorTokensOptions['onUsed']
  /** Sessions and tokens last by the system clock, whatever a test does to the other one. */
  readonly clock?: Clock
}

/** The header that names the account in whose name an operator uses `/v1`. */
export const accountHeader = 'x-parley-account'

/** Sessions end so long after their last use, to within `renewAfterMs`. */
const sessionMs = 12 * 3_600_000
const renewAfterMs = 10 * 60_000

/** Those by OpenID Connect end so long after they have begun: only then the provider is asked again. */
const openIdSessionMs = 8 * 3_600_000
/** For so long somebody may take to sign in at the provider. */
const attemptMs = 10 * 60_000

/** Links that sign in: how long they can be used, and how many there may be. */
const linkMs = 10 * 60_000
const maxLinks = 100

/** Who asks, and what a session of theirs is begun with. */
interface Entered {
  readonly access: Access
  readonly begun: Begun
}

/**
 * Who may act as an operator: whoever sends the operator token of the installation or one of an operator, and a browser that has signed
 * in with it. A browser holds a sealed cookie, which every node opens; nothing is stored. It is void when the token changes or ends,
 * and counts only in requests of this server's own pages.
 */
export class Operator {
  readonly #options: OperatorOptions
  readonly #clock: Clock
  readonly #cookies: SessionCookies
  readonly #tokens: OperatorTokens
  readonly #openId: OpenId | null
  /** What sessions by OpenID Connect were made with. */
  readonly #providers: readonly string[]
  /** What the session of the installation's own token was made with: another one ends all of them. */
  readonly #generations: readonly [string, ...string[]]
  /** Of tokens that were right: the throttle knows them. */
  readonly #proofKey = randomBytes(32)
  /** Links that sign in once: for whom, and until when. */
  readonly #links = new Map<string, { readonly begun: Begun; readonly expires: number }>()

  constructor(options: OperatorOptions) {
    this.#options = options
    this.#clock = options.clock ?? new SystemClock()
    this.#cookies = new SessionCookies(options.vault)
    this.#openId = options.openId ?? null
    this.#providers = this.#openId ? this.#cookies.generationsOf(`openid ${this.#openId.identity}`) : []
    this.#tokens = new OperatorTokens({ read: options.read, onUsed: options.onTokenUsed ?? (() => undefined) })
    this.#generations = this.#cookies.generationsOf(`token ${options.adminToken}`)
  }

  /**
   * Returns who asks, and records it in the request; null for nobody who is known. Throws `tooManyRequests` after too many wrong tokens,
   * and `forbidden` when the page of another site makes the browser send its cookie. `reply`: is given the cookie of a session that is
   * prolonged.
   */
  async admit(request: FastifyRequest, reply?: FastifyReply): Promise<Access | null> {
    const entered = await this.#entered(request, reply)
    request.access = entered?.access ?? null
    return request.access
  }

  async #entered(request: FastifyRequest, reply?: FastifyReply): Promise<Entered | null> {
    if (request.headers.authorization !== undefined) return this.#byToken(request, bearerOf(request) ?? '')
    const session = this.#cookies.of(request)
    const now = this.#clock.now()
    if (!session || now >= this.#endOf(session)) return null
    const access = await this.#recalled(session.begun)
    if (!access) return null
    if (!isOwnPage(request)) throw refuse('forbidden')
    const entered = { access, begun: session.begun }
    const isRenewed = session.begun.by !== 'openid' && now - session.issued > renewAfterMs
    if (reply && isRenewed) this.#grant(request, reply, entered.begun)
    return entered
  }

  /**
   * Returns the principal of the account in whose name the operator asks, for requests that name one instead of having its credentials; undefined
   * for any other. Throws as `admit`, `authenticate` when nobody asks who is known, `notFound` when there is no such account for them, and
   * `forbidden` when they may not do it.
   */
  actingAs(request: FastifyRequest): Promise<Principal> | undefined {
    const sid = request.headers[accountHeader]
    if (typeof sid !== 'string' || /^Basic /i.test(request.headers.authorization ?? '')) return undefined
    return this.#accountOf(request, sid)
  }

  async #accountOf(request: FastifyRequest, sid: string): Promise<Principal> {
    const access = await this.admit(request)
    if (!access) throw refuse('authenticate')
    const account = sees(access, sid) ? await this.#options.read.one(accountBySid, { sid }) : undefined
    if (!account) throw refuse('notFound', { path: `/Accounts/${sid.slice(0, 100)}` })
    const needed = rightsForOperation(request.method, request.routeOptions.config.operation)
    if (!needed.every((right) => access.rights.has(right))) throw refuse('forbidden')
    return { account_sid: account.sid, share: null, exempt: true }
  }

  /** Begins a session for a token, or for the code of a link. Returns its end, null when neither is right. Throws as `admit`. */
  async signIn(
    request: FastifyRequest,
    reply: FastifyReply,
    by: { readonly token?: string; readonly code?: string },
  ): Promise<number | null> {
    if (!isOwnPage(request) && request.headers.origin !== undefined) throw refuse('forbidden')
    const { token, code } = by
    const entered = token === undefined ? await this.#byCode(request, code ?? '') : await this.#byToken(request, token)
    if (!entered) return null
    request.access = entered.access
    return this.#grant(request, reply, entered.begun)
  }

  /** Makes a link's code, which signs in once, with the rights of the operator token of the installation. */
  createLink(): { readonly code: string; readonly expires: number } {
    return this.#createLink({ by: 'installation', generation: this.#generations[0] })
  }

  /** Makes one that signs in as whoever asks for it. Null when nobody asks who is known. Throws as `admit`. */
  async createLinkFor(request: FastifyRequest): Promise<{ readonly code: string; readonly expires: number } | null> {
    const entered = await this.#entered(request)
    return entered && this.#createLink(entered.begun)
  }

  #createLink(begun: Begun): { readonly code: string; readonly expires: number } {
    const code = randomBytes(24).toString('base64url')
    const expires = this.#clock.now() + linkMs
    const [oldest] = this.#links.keys()
    if (this.#links.size >= maxLinks && oldest !== undefined) this.#links.delete(oldest)
    this.#links.set(code, { begun, expires })
    return { code, expires }
  }

  /** Whether the request comes with a session that has not ended; whose it is, the request says from then on. */
  async hasSession(request: FastifyRequest): Promise<boolean> {
    const session = this.#cookies.of(request)
    if (!session || this.#clock.now() >= this.#endOf(session)) return false
    request.access = await this.#recalled(session.begun)
    return request.access !== null
  }

  /** Takes the cookie from the browser. */
  signOut(request: FastifyRequest, reply: FastifyReply): void {
    if (!isOwnPage(request)) throw refuse('forbidden')
    reply.header('set-cookie', this.#cookies.ended(request))
  }

  /** The OpenID provider at which operators may sign in, as people know it; null: there is none. */
  get openIdName(): string | null {
    return this.#openId?.name ?? null
  }

  /** Returns where the browser signs in. Throws OpenIdError, `notFound` without a provider. */
  async beginOpenId(request: FastifyRequest, reply: FastifyReply, redirectUri: string, to: string): Promise<string> {
    const { url, attempt } = await this.#requireOpenId().begin(redirectUri, to, this.#clock.now())
    reply.header('set-cookie', this.#cookies.kept(request, attempt, attemptMs))
    return url
  }

  /** Begins the session of a browser that comes back, to `url`, and returns where it goes. Throws as `beginOpenId`, `tooManyRequests`. */
  async finishOpenId(request: FastifyRequest, reply: FastifyReply, url: string): Promise<string> {
    const openId = this.#requireOpenId()
    const attempt = this.#cookies.attemptOf(request)
    // Whatever comes of it, it is used up.
    reply.header('set-cookie', this.#cookies.kept(request, null, 0))
    if (!attempt || this.#clock.now() - attempt.begun >= attemptMs) throw new OpenIdError('state')
    const throttle = this.#options.logins?.throttle
    const address = addressOf(request)
    throttle?.check(address, null, '')
    const member = await openId.finish(url, attempt).catch((error: unknown) => {
      // While the provider is down nobody is refused, and tokens are what one signs in with.
      if (!(error instanceof OpenIdError && error.problem === 'provider')) {
        throttle?.failed(address, null)
        const agent = request.headers['user-agent'] ?? null
        this.#options.logins?.onFailedLogin(
          { address, username: null },
          { interface: 'console', kind: 'operator', name: null, agent },
        )
      }
      throw error
    })
    // A second header of the name: the browser loses one cookie and gets the other.
    const now = this.#clock.now()
    const until = now + openIdSessionMs
    request.access = openId.accessOf(member)
    this.#grant(request, reply, { by: 'openid', member, generation: this.#providers[0] ?? '', until }, now)
    return attempt.to
  }

  /** Returns where a browser that was signed out here is signed out at the provider, or else `home`. Throws as `beginOpenId`. */
  async endOpenId(home: string): Promise<string> {
    return (await this.#requireOpenId().end(home)) ?? home
  }

  #requireOpenId(): OpenId {
    if (!this.#openId) throw refuse('notFound', { path: '/session/openid' })
    return this.#openId
  }

  #byToken(request: FastifyRequest, token: string): Promise<Entered | null> {
    const id = operatorTokenId(token)
    // The id is no secret.
    const name = id === null ? null : `operator token ${id}`
    return this.#counted(request, name, token, async () => {
      if (sameSecret(token, this.#options.adminToken)) {
        return { access: installationAccess, begun: { by: 'installation', generation: this.#generations[0] } }
      }
      const found = await this.#tokens.recognise(token, this.#clock.now())
      return found && { access: found.access, begun: { by: 'token', token_id: found.token_id, sessions: found.sessions } }
    })
  }

  #byCode(request: FastifyRequest, code: string): Promise<Entered | null> {
    return this.#counted(request, null, code, async () => {
      const link = this.#links.get(code)
      this.#links.delete(code)
      const access = link && this.#clock.now() < link.expires ? await this.#recalled(link.begun) : null
      return link && access && { access, begun: link.begun }
    })
  }

  /** Returns whose session it is; null when it is void. */
  async #recalled(begun: Begun): Promise<Access | null> {
    if (begun.by === 'installation') return this.#generations.includes(begun.generation) ? installationAccess : null
    if (begun.by === 'openid') {
      const isValid = this.#providers.includes(begun.generation) && this.#clock.now() < begun.until
      return isValid ? (this.#openId?.accessOf(begun.member) ?? null) : null
    }
    return (await this.#tokens.recall(begun.token_id, begun.sessions, this.#clock.now()))?.access ?? null
  }

  /**
   * Returns who enters by a secret, and counts a failure. `name`: what the secret is of, unless it could be anybody's. Counted together, the
   * failures of strangers would keep the operator out.
   */
  async #counted(
    request: FastifyRequest,
    name: string | null,
    secret: string,
    enter: () => Promise<Entered | null | undefined>,
  ): Promise<Entered | null> {
    const { logins } = this.#options
    if (!logins) return (await enter()) ?? null
    const address = addressOf(request)
    const proof = createHmac('sha256', this.#proofKey).update(secret).digest('base64')
    logins.throttle.check(address, name, proof)
    const entered = await enter()
    if (entered) {
      logins.throttle.succeeded(address, name, proof)
      return entered
    }
    logins.throttle.failed(address, name)
    const { authorization, 'user-agent': agent = null } = request.headers
    const from = authorization === undefined ? 'console' : 'admin'
    logins.onFailedLogin({ address, username: name }, { interface: from, kind: 'operator', name: null, agent })
    return null
  }

  /** When a session ends unless it is renewed, in epoch ms. */
  #endOf({ begun, issued }: Session): number {
    return begun.by === 'openid' ? begun.until : issued + sessionMs
  }

  #grant(request: FastifyRequest, reply: FastifyReply, begun: Begun, issued = this.#clock.now()): number {
    const end = this.#endOf({ begun, issued })
    reply.header('set-cookie', this.#cookies.granted(request, { begun, issued }, end - issued))
    return end
  }
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
