import { createRequire } from 'node:module'
import { join } from 'node:path'
import type * as twilioPackage from 'twilio'
import type { RequestClient } from 'twilio'

export type TwilioPackage = typeof twilioPackage.default

/**
 * Returns the official package. It is the caller's own: looked for beside Parley, then from the folder in which the program runs.
 * Throws when it is in neither; `forWhat` and `install` tell who needs it and how to get it.
 */
export function loadTwilio(forWhat: string, install: string): TwilioPackage {
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      return createRequire(from)('twilio')
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
  }
  throw new Error(`${forWhat} needs the official package: ${install}`)
}

/** Not so when the package is there and lacks one of its own. */
function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND' && error.message.includes("'twilio'")
}

/** Returns the HTTP client of an official client whose requests go to the server at `base` and to nobody else, with `headers`. */
export function ledHttpClient(
  twilio: TwilioPackage,
  base: string,
  headers: Readonly<Record<string, string>> = {},
): RequestClient {
  const client = new twilio.RequestClient()
  const send = client.request.bind(client)
  client.request = async (options) =>
    send({ ...options, uri: leadTo(base, options.uri), headers: { ...options.headers, ...headers } })
  return client
}

/** The names of Twilio Conversations, alone or with an edge and a region. */
const conversations = /^https:\/\/conversations(?:\.[\w-]+){0,2}\.twilio\.com(?=\/)/i

/**
 * Returns the URI of a request of an official client, led to the server at `base`. Throws when it is for another product: nothing
 * must reach Twilio.
 */
export function leadTo(base: string, uri: string): string {
  const led = uri.replace(conversations, () => base)
  // Links in responses are on Parley already.
  if (!led.startsWith(`${base}/`)) throw new Error(`not for Parley, so it was not sent: ${uri}`)
  return led
}
