import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type AccountClaims } from 'oidc-provider'
import { vi } from 'vitest'

/** People at the provider, by the login that they enter; any password will do. */
export type People = Readonly<Record<string, Omit<AccountClaims, 'sub'>>>

export interface TestProvider {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** Serves a client whose pages are below `url`: until then there is none. */
  serve(url: string): void
  /** Ends it: nothing listens there any more. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A real OpenID provider on this machine, with the forms of `oidc-provider` to sign in. */
export async function startProvider(people: People): Promise<TestProvider> {
  let handle: RequestListener = (_request, response) => void response.writeHead(503).end()
  const server = createServer((request, response) => void handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = { clientId: 'parley', clientSecret: 'secret-of-the-client' }
  const stop = async () => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return {
    issuer,
    ...client,
    serve(url) {
      // Keys and sessions in memory are what a test wants: the provider warns of them.
      const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
      handle = providerAt(issuer, url, client, people).callback()
      warn.mockRestore()
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function providerAt(issuer: string, url: string, client: { clientId: string; clientSecret: string }, people: People): Provider {
  return new Provider(issuer, {
    clients: [
      {
        client_id: client.clientId,
        client_secret: client.clientSecret,
        redirect_uris: [`${url}/admin/v1/session/openid/callback`],
        post_logout_redirect_uris: [`${url}/console`],
      },
    ],
    scopes: ['openid', 'profile', 'email', 'groups'],
    // As at many providers, userinfo alone has what belongs to scopes.
    conformIdTokenClaims: true,
    claims: { openid: ['sub'], profile: ['name'], email: ['email'], groups: ['groups'] },
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
    cookies: { keys: ['key of the cookies of the provider'] },
    findAccount: (_context, sub) => ({ accountId: sub, claims: async () => ({ ...people[sub], sub }) }),
  })
}

/** A browser without script, for one person: it has a jar of cookies for each origin and goes where it is sent. */
export class Visitor {
  readonly #cookies = new Map<string, Map<string, string>>()

  /** Returns the cookies that a request to the origin of `url` would have. */
  cookiesOf(url: string): string {
    return [...(this.#cookies.get(new URL(url).origin) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** Asks once, and follows nothing. */
  async ask(
    url: string,
    form?: Readonly<Record<string, string>>,
  ): Promise<{ status: number; location: string | null; text: string }> {
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      redirect: 'manual',
      headers: { cookie: this.cookiesOf(url) },
      ...(form && { body: new URLSearchParams(form) }),
    })
    const jar = this.#cookies.get(new URL(url).origin) ?? new Map<string, string>()
    this.#cookies.set(new URL(url).origin, jar)
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
    const location = response.headers.get('location')
    return { status: response.status, location: location && new URL(location, url).href, text: await response.text() }
  }

  /** Signs in at the provider, from the address that the browser was sent to. Returns where the provider sends it back to. */
  async signInAt(address: string, login: string, back: string): Promise<string> {
    let url = address
    for (let steps = 0; steps < 20; steps++) {
      if (url.startsWith(back)) return url
      let answer = await this.ask(url)
      const action = /<form[^>]* action="([^"]+)"/.exec(answer.text)?.[1]
      if (action !== undefined) {
        const prompt = /name="prompt" value="(\w+)"/.exec(answer.text)?.[1] ?? 'login'
        answer = await this.ask(new URL(action, url).href, { prompt, login, password: 'x' })
      }
      if (answer.location === null) throw new Error(`the provider says ${answer.status}: ${answer.text.slice(0, 500)}`)
      url = answer.location
    }
    throw new Error('the provider does not come to an end')
  }
}
