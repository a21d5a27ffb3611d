import type { Twilio } from 'twilio'
import { ledHttpClient, loadTwilio, type TwilioPackage } from '../lead.ts'

export interface ClientOptions {
  /** Whether every request asks for webhooks (`X-Twilio-Webhook-Enabled: true`). By default each call says so itself. */
  readonly webhooks?: boolean
  /** The official package, where Parley does not find it by itself. */
  readonly twilio?: TwilioPackage
}

/** Returns a client of the official package that talks to the server at `url` and to nobody else. Throws without the package. */
export function createClient(
  url: string,
  { sid, authToken }: { readonly sid: string; readonly authToken: string },
  { webhooks = false, twilio = loadTwilio('client()', 'npm install --save-dev twilio') }: ClientOptions = {},
): Twilio {
  const httpClient = ledHttpClient(twilio, url, webhooks ? { 'X-Twilio-Webhook-Enabled': 'true' } : {})
  return twilio(sid, authToken, { httpClient })
}
