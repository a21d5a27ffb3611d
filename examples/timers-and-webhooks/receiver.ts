import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import twilio from 'twilio'

export type WebhookEvent = Readonly<Record<string, string>>

export interface Receiver {
  /** Configure this as the webhook URL. */
  readonly url: string
  /** Returns the next event, or the first one that no earlier call has taken. */
  next(): Promise<WebhookEvent>
  close(): void
}

/** Receives webhooks on a free port, and refuses those whose signature is not valid. */
export async function startReceiver(authToken: string): Promise<Receiver> {
  const events: WebhookEvent[] = []
  const arrivals = new EventEmitter()
  const server = createServer(async (request, response) => {
    const form = Object.fromEntries(new URLSearchParams(await text(request)))
    const signature = String(request.headers['x-twilio-signature'])
    // The signature covers the URL as it is configured, and the form.
    const valid = twilio.validateRequest(authToken, signature, url + request.url, form)
    response.writeHead(valid ? 204 : 403).end()
    if (!valid) return
    events.push(form)
    arrivals.emit('event')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `${url}/webhooks`,
    async next() {
      for (;;) {
        const event = events.shift()
        if (event) return event
        await once(arrivals, 'event', { signal: AbortSignal.timeout(120_000) })
      }
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
