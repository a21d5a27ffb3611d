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
