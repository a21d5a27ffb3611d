import type twilio from 'twilio'
import { ledHttpClient, loadTwilio } from './lead.ts'

/** What `parleyClient` needs: where Parley is, whose credentials to use, and what else the official client may be told. */
export interface ParleyClientOptions extends Omit<twilio.ClientOpts, 'httpClient' | 'accountSid'> {
  /** The base URL of Parley, without `/v1`. Default: `http://127.0.0.1:8080`. */
  readonly url?: string
  /** SID of the account. Default: the environment variable `TWILIO_ACCOUNT_SID`. */
  readonly accountSid?: string
  /** Auth token of the account. Default: the environment variable `TWILIO_AUTH_TOKEN`. */
  readonly authToken?: string
  /** An API key (`SK…`) and its secret, in place of the auth token. */
  readonly keySid?: string
  readonly keySecret?: string
}

/**
 * Returns the official client, led to Parley: a request for anything but Conversations throws, so that nothing reaches Twilio.
 * Throws when the URL is none, when no account is given, or without the official package.
 *
 *     const client = parleyClient({ url: 'http://127.0.0.1:8080', accountSid, authToken })
 *     await client.conversations.v1.conversations.create({ friendlyName: 'Hello' })
 */
export function parleyClient(options: ParleyClientOptions = {}): twilio.Twilio {
  const { url = 'http://127.0.0.1:8080', accountSid, authToken, keySid, keySecret, ...others } = options
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) throw new Error(`url must be an http(s) URL, not ${url}`)
  const account = accountSid ?? process.env.TWILIO_ACCOUNT_SID
  const secret = keySid === undefined ? (authToken ?? process.env.TWILIO_AUTH_TOKEN) : keySecret
  if (!account || !secret) throw new Error('an account SID and its auth token, or an API key and its secret, are needed')
  const official = loadTwilio('parleyClient()', 'npm install twilio')
  const httpClient = ledHttpClient(official, url.replace(/\/+$/, ''))
  return official(keySid ?? account, secret, { ...others, accountSid: account, httpClient })
}
