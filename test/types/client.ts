/*
 * The sample of docs/sdks.md, as a program under `strict` has it. Nothing here runs: `npm run types` compiles it.
 */
import type twilio from 'twilio'
import { parleyClient } from '../../src/client.ts'

const client: twilio.Twilio = parleyClient({ url: 'http://127.0.0.1:8080', accountSid: 'AC…', authToken: '…' })
const conversation = await client.conversations.v1.conversations.create({ friendlyName: 'Hello' })
const sid: string = conversation.sid
const messages = await client.conversations.v1.conversations(sid).messages.list({ order: 'desc', limit: 20 })
export const bodies: string[] = messages.map(({ body }) => body)

export const withKey = parleyClient({
  accountSid: 'AC…',
  keySid: 'SK…',
  keySecret: '…',
  region: 'ie1',
  edge: 'dublin',
  timeout: 5000,
})

// @ts-expect-error The HTTP client is what leads to Parley.
parleyClient({ httpClient: undefined })
// @ts-expect-error A misspelling.
parleyClient({ accountsid: 'AC…' })
// @ts-expect-error What no conversation has.
conversation.freindlyName
