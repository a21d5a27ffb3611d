import { createHmac, type KeyObject } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { parseJsonObject } from '../json.ts'
import type { Vault } from '../vault.ts'
import type { Attempt, Member } from './openid.ts'
import { isSecure } from './origin.ts'

/** What a session of a browser was begun with. */
export type Begun =
  /** The operator token of the installation: `generation` is a digest of it. */
  | { readonly by: 'installation'; readonly generation: string }
  /** The token of an operator, as of so many rotations. */
  | { readonly by: 'token'; readonly token_id: string; readonly sessions: number }
  /** An OpenID provider: `generation` is a digest of which. It ends at `until`, in epoch ms, however it is handed on. */
  | { readonly by: 'openid'; readonly member: Member; readonly generation: string; readonly until: number }

export interface Session {
  readonly begun: Begun
  /** In epoch ms. */
  readonly issued: number
}

/** Cookies of sessions: sealed texts, which every node of the installation opens. Nothing is stored. */
export class SessionCookies {
  readonly #vault: Vault
  /**
   * For each secret key that counts; the first is for what is new. Cookies do not keep the ports of one host apart: each installation
   * has a name of its own.
   */
  readonly #kinds: readonly [Kind, ...Kind[]]

  constructor(vault: Vault) {
    const kindOf = (key: KeyObject): Kind => {
      const digest = (text: string) => createHmac('sha256', key).update(text).digest('hex').slice(0, 32)
      return { digest, name: `parley-${digest('cookie').slice(0, 8)}` }
    }
    const [key, ...former] = vault.deriveAll('operator sessions')
    this.#vault = vault
    this.#kinds = [kindOf(key), ...former.map(kindOf)]
  }

  /** Returns keyed digests of a secret that sessions depend on; the first is for new ones. */
  generationsOf(secret: string): readonly [string, ...string[]] {
    const [first, ...former] = this.#kinds
    return [first.digest(secret), ...former.map(({ digest }) => digest(secret))]
  }

  /** Returns the header that gives a browser a session for so long. */
  granted(request: FastifyRequest, session: Session, maxAgeMs: number): string {
    return this.#header(request, { value: this.#sealed(session), maxAgeMs })
  }

  /** Returns the headers that take the session away. */
  ended(request: FastifyRequest): string[] {
    return this.#kinds.map(({ name }) => this.#header(request, { name, value: '', maxAgeMs: 0 }))
  }

  /** Returns the session of a request; undefined without one that this installation has sealed. */
  of(request: FastifyRequest): Session | undefined {
    for (const { begun, issued } of this.#openedOf(request, '')) {
      // Sealed by `granted`, which alone writes these members.
      if (typeof begun === 'object' && typeof issued === 'number') return { begun: begun as Begun, issued }
    }
    return undefined
  }

  /** Returns the header by which a browser keeps what it leaves for a provider with; null takes it away. */
  kept(request: FastifyRequest, attempt: Attempt | null, maxAgeMs: number): string {
    const value = attempt === null ? '' : this.#sealed({ attempt })
    // `Lax`: it comes back from another site.
    return this.#header(request, { value, maxAgeMs: attempt === null ? 0 : maxAgeMs, suffix: attemptSuffix, sameSite: 'Lax' })
  }

  attemptOf(request: FastifyRequest): Attempt | undefined {
    for (const { attempt } of this.#openedOf(request, attemptSuffix)) {
      // Sealed by `kept`.
      if (typeof attempt === 'object' && attempt !== null) return attempt as Attempt
    }
    return undefined
  }

  #sealed(value: object): string {
    return Buffer.from(this.#vault.seal(JSON.stringify(value)), 'base64').toString('base64url')
  }

  #header(
    request: FastifyRequest,
    { name = this.#kinds[0].name, value, maxAgeMs, suffix = '', sameSite = 'Strict' }: Cookie,
  ): string {
    const secure = isSecure(request)
    const full = `${secure ? '__Host-' : ''}${name}${suffix}`
    const age = Math.floor(maxAgeMs / 1000)
    return `${full}=${value}; Path=/; Max-Age=${age}; HttpOnly; SameSite=${sameSite}${secure ? '; Secure' : ''}`
  }

  #openedOf(request: FastifyRequest, suffix: string): Readonly<Record<string, unknown>>[] {
    const { cookie = '' } = request.headers
    // One without the prefix may come from another host of the domain, which signs the browser in as somebody else.
    const prefixes = isSecure(request) ? ['__Host-'] : ['__Host-', '']
    const wanted = this.#kinds.flatMap(({ name }) => prefixes.map((prefix) => prefix + name + suffix))
    return cookie.split(';').flatMap((pair) => {
      const [name = '', value = ''] = pair.trim().split('=', 2)
      const opened = wanted.includes(name) ? this.#opened(value) : undefined
      return opened ? [opened] : []
    })
  }

  #opened(value: string): Readonly<Record<string, unknown>> | undefined {
    try {
      return parseJsonObject(this.#vault.open(value))
    } catch {
      return undefined
    }
  }
}

const attemptSuffix = '-openid'

interface Kind {
  readonly digest: (text: string) => string
  readonly name: string
}

interface Cookie {
  readonly name?: string
  readonly value: string
  readonly maxAgeMs: number
  readonly suffix?: string
  readonly sameSite?: 'Strict' | 'Lax'
}
