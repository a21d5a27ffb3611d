import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
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
    const sid = carried.get(token) ?? carry(message)
    carried.set(token, sid)
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ sid, status: 'sent' }))
    await report(sid, 'delivered')
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

/** Where a call to the carrier belongs. Returns the carrier's name for the message. */
function carry({ From, To, Body }: Readonly<Record<string, string>>): string {
  console.log(`${From} -> ${To}: ${Body}`)
  return `SM${randomBytes(16).toString('hex')}`
}

/** Reports the status of a message. Until Parley has recorded the SID it returns 404: the report is repeated. */
async function report(channel_message_sid: string, status: Status): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const response = await admin('POST', '/receipts', { account_sid: accountSid, channel_message_sid, status })
    if (response.ok) return
    if (response.status !== 404 || attempt === 30) throw new Error(`the report was refused: ${await response.text()}`)
    await setTimeout(100 * attempt)
  }
}
