import twilio from 'twilio'
import { checkAnswer } from './contract.ts'

interface SdkOptions {
  /** With both of these the client signs in with an API key instead of the account's token. */
  readonly keySid?: string
  readonly keySecret?: string
  /** False for answers that deliberately differ from the official description. */
  readonly check?: boolean
  /** Whether the client repeats what is refused with 429, until it is let in. */
  readonly autoRetry?: boolean
  /** The certificate of a proxy's authority. */
  readonly ca?: string
}

const officialUrl = 'https://conversations.twilio.com'

/** The official client, led to the server under test; every answer it gets is held against the official description. */
export function sdkFor(server: { url: string }, accountSid: string, authToken: string, options: SdkOptions = {}): twilio.Twilio {
  const { keySid = accountSid, keySecret = authToken, check = true, autoRetry = false, ca } = options
  const httpClient = localHttpClient(server.url.replace(/\/+$/, ''), { check, autoRetry, ca })
  return twilio(keySid, keySecret, { accountSid, httpClient })
}

/** Without keep-alive no idle socket outlives a test, or meets a server that was restarted on the same port. */
function localHttpClient(
  base: string,
  { check, autoRetry, ca }: { readonly check: boolean; readonly autoRetry: boolean; readonly ca: string | undefined },
): twilio.RequestClient {
  const retries = { autoRetry, maxRetries: 10_000, maxRetryDelay: 50 }
  const client = new twilio.RequestClient({ keepAlive: false, ...retries, ...(ca !== undefined && { ca }) })
  const { defaults, interceptors } = client.axios
  // The checker wants to see what was sent, so nothing is parsed before it had its look.
  defaults.transformResponse = [(text: unknown) => text]
  interceptors.request.use((config) => {
    config.url = localUrl(base, config.url ?? '')
    return config
  })
  interceptors.response.use((response) => {
    const { method = '', url = '' } = response.config
    const body = parsed(response.data)
    if (check) checkAnswer(method, url.slice(base.length), response.status, body)
    response.data = body ?? response.data
    return response
  })
  return client
}

/** Page urls are on the server already; anything else would leave this machine. */
function localUrl(base: string, url: string): string {
  if (url.startsWith(`${base}/`)) return url
  if (!url.startsWith(`${officialUrl}/`)) throw new Error(`the client asked for ${url}, which is not on ${base}`)
  return base + url.slice(officialUrl.length)
}

/** Like the unaltered client: what is not JSON stays text. */
function parsed(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
