import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import twilio from 'twilio'
import { accountSid, admin, authToken } from './parley.ts'

type Status = 'sent' | 'delivered' | 'read' | 'undelivered' | 'failed'

/** Takes the messages that Parley hands over, on a free port. */
export async function startEndpoint(): Promise<{ readonly url: string; close(): void }> {
  /** By idempotency token: a message that Parley sends a second time must not reach the carrier twice. */
  const carried = new Map<string, string>()
  const server = createServer(async (request, response) => {
    const message = Object.fromEntries(new URLSearchParams(await text(request)))
    const signature = String(request.headers['x-twilio-signature'])
    if (!twilio.validateRequest(authToken, signature, url + request.url, message)) {
      response.writeHead(403).end()
      return
    }
    const token = String(request.headers['i-twilio-idempotency-token'])
    const id = carried.get(token) ?? carry(message)
    carried.set(token, id)
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ external_id: id, status: 'sent' }))
    await report(id, message.From, 'delivered')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `${url}/messages`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** Where a call to the carrier belongs. Returns what the carrier calls the message. */
function carry({ From, To, Body }: Readonly<Record<string, string>>): string {
  console.log(`${From} -> ${To}: ${Body}`)
  return `carried-${randomUUID()}`
}

/** Reports the status of a message, from the carrier's status callback. It may come before Parley has read the response. */
async function report(external_id: string, address: string | undefined, status: Status): Promise<void> {
  const response = await admin('POST', '/receipts', { account_sid: accountSid, external_id, address, status })
  if (!response.ok) throw new Error(`the report was refused: ${await response.text()}`)
}

/** Hands in a message that the carrier has received. Carriers repeat what they are not sure of: it is received once. */
export async function receive(message: { external_id: string; from: string; to: string; body: string }): Promise<void> {
  const response = await admin('POST', '/inbound', { account_sid: accountSid, ...message })
  if (!response.ok) throw new Error(`the message was refused: ${await response.text()}`)
}
