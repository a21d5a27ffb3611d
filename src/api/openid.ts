import type * as Client from 'openid-client'
import type { Config } from '../config.ts'
import type { GroupRole } from '../operator-roles.ts'
import { type Access, accessOf } from './rights.ts'

/** An OpenID provider at which operators sign in, and what their groups may do. */
export interface OpenIdOptions {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string | null
  readonly scope: string
  /** The claim that has the groups of whoever signs in. */
  readonly groupsClaim: string
  /** The first whose group somebody is in counts. */
  readonly roles: readonly GroupRole[]
  /** Called with what went wrong at the provider. It holds no secret. */
  readonly onProblem: (problem: { readonly problem: OpenIdProblem; readonly reason: string }) => void
}

/** Why somebody is not signed in. */
export type OpenIdProblem = 'provider' | 'state' | 'refused' | 'group'

export class OpenIdError extends Error {
  override readonly name = 'OpenIdError'
  readonly problem: OpenIdProblem

  constructor(problem: OpenIdProblem) {
    super(`the sign-in by OpenID Connect failed (${problem})`)
    this.problem = problem
  }
}

/** What a browser is sent away with, and comes back with: sealed in a cookie. */
export interface Attempt {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  /** The page of the console that it began at. */
  readonly to: string
  /** In epoch ms. */
  readonly begun: number
}

/** Somebody whom the provider knows, and the group that counts. */
export interface Member {
  readonly sub: string
  readonly name: string
  readonly group: string
}

/** What the provider says of itself is read again after so long. */
const knownMs = 3_600_000
const timeoutS = 10

/** The code flow with PKCE, `state` and `nonce`. The library is loaded when somebody signs in for the first time. */
export class OpenId {
  readonly #options: OpenIdOptions
  #known: { readonly provider: Promise<Client.Configuration>; readonly until: number } | undefined

  constructor(options: OpenIdOptions) {
    this.#options = options
  }

  /** What sessions depend on besides: with another provider or client they are void. */
  get identity(): string {
    return JSON.stringify([this.#options.issuer, this.#options.clientId])
  }

  /** The host of the provider, by which people recognise it. */
  get name(): string {
    return new URL(this.#options.issuer).host
  }

  /** Returns where to send the browser, and what it must come back with. Throws OpenIdError. */
  async begin(redirectUri: string, to: string, now: number): Promise<{ readonly url: string; readonly attempt: Attempt }> {
    const client = await import('openid-client')
    const provider = await this.#provider(client)
    const attempt = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
      ...{ to, begun: now },
    }
    const url = client.buildAuthorizationUrl(provider, {
      redirect_uri: redirectUri,
      scope: this.#options.scope,
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(attempt.verifier),
      code_challenge_method: 'S256',
    })
    return { url: url.href, attempt }
  }

  /** Returns who has come back. `url`: where the provider has sent the browser. Throws OpenIdError. */
  async finish(url: string, { state, nonce, verifier }: Attempt): Promise<Member> {
    const returned = new URL(url)
    if (returned.searchParams.get('state') !== state) throw new OpenIdError('state')
    const client = await import('openid-client')
    const provider = await this.#provider(client)
    const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true }
    const tokens = await client
      .authorizationCodeGrant(provider, returned, checks)
      .catch((error: unknown) => this.#failed(isUnreachable(error) ? 'provider' : 'refused', error))
    const claims = tokens.claims()
    if (!claims) throw new OpenIdError('refused')
    // Many providers put groups and names there alone.
    const more =
      claims[this.#options.groupsClaim] === undefined && provider.serverMetadata().userinfo_endpoint !== undefined
        ? await client
            .fetchUserInfo(provider, tokens.access_token, claims.sub)
            .catch((error: unknown) => this.#failed('provider', error))
        : {}
    return this.#memberOf(claims.sub, { ...claims, ...more })
  }

  /** Returns where the browser is signed out of the provider, too; null when that has no such page. Throws OpenIdError. */
  async end(returnTo: string): Promise<string | null> {
    const client = await import('openid-client')
    const provider = await this.#provider(client)
    if (provider.serverMetadata().end_session_endpoint === undefined) return null
    return client.buildEndSessionUrl(provider, { post_logout_redirect_uri: returnTo }).href
  }

  /** Returns what a member may do; null when their group has no role any more. */
  accessOf({ sub, name, group }: Member): Access | null {
    const role = this.#options.roles.find((each) => each.group === group)
    return role ? accessOf({ ...role, id: `openid:${sub}`, name }) : null
  }

  #memberOf(sub: string, claims: Readonly<Record<string, unknown>>): Member {
    const given = claims[this.#options.groupsClaim]
    const groups = Array.isArray(given) ? given : [given]
    const role = this.#options.roles.find(({ group }) => groups.includes(group))
    if (!role) throw new OpenIdError('group')
    const names = [claims.name, claims.preferred_username, claims.email, sub]
    const name = names.find((each) => typeof each === 'string' && each !== '')
    return { sub: sub.slice(0, maxShown), name: String(name).slice(0, maxShown), group: role.group }
  }

  #provider(client: typeof Client): Promise<Client.Configuration> {
    const now = performance.now()
    if (this.#known && now < this.#known.until) return this.#known.provider
    const { issuer, clientId, clientSecret } = this.#options
    const url = new URL(issuer)
    const provider = client
      .discovery(
        url,
        clientId,
        clientSecret ?? undefined,
        clientSecret === null ? client.None() : client.ClientSecretBasic(clientSecret),
        {
          timeout: timeoutS,
          // The setting allows it on this machine alone.
          ...(url.protocol === 'http:' && { execute: [client.allowInsecureRequests] }),
        },
      )
      .catch((error: unknown) => {
        this.#known = undefined
        return this.#failed('provider', error)
      })
    this.#known = { provider, until: now + knownMs }
    return provider
  }

  #failed(problem: OpenIdProblem, error: unknown): never {
    this.#options.onProblem({ problem, reason: reasonOf(error) })
    throw new OpenIdError(problem)
  }
}

/** A subject or a name in a cookie, which must not become too large. */
const maxShown = 255

/** The library's own words, or the code that the provider has sent: neither has a secret. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const code = 'error' in error && typeof error.error === 'string' ? error.error : 'code' in error ? String(error.code) : ''
  return `${error.message} ${code}`.trim().slice(0, 300)
}

/** Whether there was no answer, or none that one can work with, rather than a refusal. */
function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Error)) return true
  const code = 'code' in error ? String(error.code) : ''
  return (
    error.name === 'TypeError' ||
    error.name === 'TimeoutError' ||
    code === 'OAUTH_TIMEOUT' ||
    code === 'OAUTH_RESPONSE_IS_NOT_CONFORM'
  )
}

/** Returns the options that the settings make; null without a provider. */
export function openIdOf(
  config: Pick<
    Config,
    'openidIssuer' | 'openidClientId' | 'openidClientSecret' | 'openidScope' | 'openidGroupsClaim' | 'openidRoles'
  >,
  onProblem: OpenIdOptions['onProblem'],
): OpenId | null {
  const { openidIssuer: issuer, openidClientId: clientId, openidRoles: roles } = config
  if (issuer === null || clientId === null || roles === null) return null
  return new OpenId({
    ...{ issuer, clientId, roles, onProblem },
    clientSecret: config.openidClientSecret,
    scope: config.openidScope,
    groupsClaim: config.openidGroupsClaim,
  })
}
