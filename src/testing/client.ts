import { createRequire } from 'node:module'
import { join } from 'node:path'
import type * as twilioPackage from 'twilio'
import type { Twilio } from 'twilio'
import { leadTo } from '../lead.ts'

type TwilioPackage = typeof twilioPackage.default

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
  { webhooks = false, twilio = loadTwilio() }: ClientOptions = {},
): Twilio {
  const httpClient = new twilio.RequestClient()
  const send = httpClient.request.bind(httpClient)
  httpClient.request = async (options) => {
    const headers = { ...options.headers, ...(webhooks && { 'X-Twilio-Webhook-Enabled': 'true' }) }
    return send({ ...options, uri: leadTo(url, options.uri), headers })
  }
  return twilio(sid, authToken, { httpClient })
}

/** It is the caller's own: looked for beside Parley, then from the folder in which the tests run. */
function loadTwilio(): TwilioPackage {
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      return createRequire(from)('twilio')
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  throw new Error('client() needs the official package: npm install --save-dev twilio')
}
