import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import twilio from 'twilio'

// A program as it is written for Twilio: it knows neither Parley nor its address. It prints what it has seen as JSON.

const authToken = process.env.TWILIO_AUTH_TOKEN ?? ''
const client = twilio()
const { v1 } = client.conversations

const hooks = createServer(async (request, response) => {
  const params = Object.fromEntries(new URLSearchParams(await text(request)))
  const signature = String(request.headers['x-twilio-signature'])
  const valid = twilio.validateRequest(authToken, signature, `http://${request.headers.host}${request.url}`, params)
  response.end()
  hooks.emit('hook', { event: params.EventType, name: params.FriendlyName, valid })
})
await once(hooks.listen(0, '127.0.0.1'), 'listening')
const { port } = hooks.address() as AddressInfo
await v1.configuration.webhooks().update({
  postWebhookUrl: `http://127.0.0.1:${port}/hooks?a=1`,
  filters: ['onConversationAdded'],
  method: 'POST',
})

const hooked = once(hooks, 'hook')
const friendlyName = 'Ördér 50% + 1 & ; 😀'
const uniqueName = `${friendlyName} ${Date.now()}`
const created = await v1.conversations.create({
  friendlyName,
  uniqueName,
  attributes: '{"a":"ü"}',
  xTwilioWebhookEnabled: 'true',
})
for (let i = 0; i < 6; i++) await v1.conversations.create({ friendlyName: `${i}` })
const fetched = await v1.conversations(encodeURIComponent(uniqueName)).fetch()
const paged = await v1.conversations.list({ pageSize: 2 })
const first = await v1.conversations.page({ pageSize: 2 })
const second = await first.nextPage()
const missing = await v1
  .conversations('CH00000000000000000000000000000000')
  .fetch()
  .catch((error) => error)
const elsewhere = await client.api.v2010.accounts.list({ limit: 1 }).catch((error) => error.message)
const [hook] = await hooked
hooks.close()

console.log(
  JSON.stringify({
    accountSid: created.accountSid,
    url: created.url,
    same: fetched.sid === created.sid,
    names: fetched.uniqueName === uniqueName && fetched.friendlyName === friendlyName,
    count: paged.length,
    second: second?.instances.length,
    nextPageUrl: first.nextPageUrl,
    missing: { status: missing.status, code: missing.code },
    elsewhere,
    hook,
  }),
)
