import { request } from 'undici'
import { type ChannelIo, type HttpRequest, type HttpResponse, RetryError } from '../../src/channels/adapter.ts'
import { type DeclaredSettings, SettingError, type ValuesOf } from '../../src/channels/settings.ts'

export interface TestIo extends ChannelIo {
  readonly warnings: string[]
  readonly requests: HttpRequest[]
}

/** What a kind of channel may use of the outside, over real sockets and without the core. */
export function channelIo(address: string, webhook_url = 'https://parley.example/channels/CN0'): TestIo {
  const warnings: string[] = []
  const requests: HttpRequest[] = []
  return {
    warnings,
    requests,
    channel: { account_sid: `AC${'0'.repeat(32)}`, sid: `CN${'0'.repeat(32)}`, address },
    webhook_url,
    signal: new AbortController().signal,
    now: () => 0,
    warn: (text) => void warnings.push(text),
    signed: () => Promise.reject(new Error('not for this kind')),
    async request(options) {
      requests.push(options)
      return send(options)
    },
  }
}

async function send({ method, url, headers, body }: HttpRequest): Promise<HttpResponse> {
  // A connection that was kept may be closed by the server at the very moment at which it is used again.
  const options = { method: method as 'GET', headers: { ...headers }, body: body ?? null, reset: true }
  const response = await request(url, options).catch(() => {
    throw new RetryError('no response')
  })
  const read = Buffer.from(await response.body.arrayBuffer()).subarray(0, 64 * 1024)
  const joined = Object.entries(response.headers).map(([name, value]) => [name, [value].flat().join(', ')])
  return { status: response.statusCode, headers: Object.fromEntries(joined), body: read }
}

/** Returns the values of settings, as they are given to a kind. Throws when one of them is wrong. */
export function settingsFrom<D extends DeclaredSettings>(declared: D, given: Readonly<Record<string, unknown>>): ValuesOf<D> {
  const values = Object.entries(declared).map(([name, setting]) => {
    if (given[name] !== undefined) return [name, setting.parse(given[name])]
    if (!('default' in setting)) throw new SettingError(`${name} is required`)
    return [name, setting.default]
  })
  // Each value has been parsed by the declaration of its name.
  return Object.fromEntries(values) as ValuesOf<D>
}
