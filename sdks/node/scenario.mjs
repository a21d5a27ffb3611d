// Written as for Twilio: it knows nothing of Parley. `sdks.ts` runs it with each major version of the SDK.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import twilio from 'twilio'

const name = process.env.SCENARIO_NAME
const { v1 } = twilio().conversations
const conversations = v1.conversations

const receiver = createServer(async (request, response) => {
  const params = Object.fromEntries(new URLSearchParams(await text(request)))
  const url = `http://${request.headers.host}${request.url}`
  const valid = twilio.validateRequest(process.env.TWILIO_AUTH_TOKEN, request.headers['x-twilio-signature'], url, params)
  response.end()
  receiver.emit('event', [params.EventType, params.FriendlyName, valid])
})
await once(receiver.listen(0, '127.0.0.1'), 'listening')
const { port } = receiver.address()
const filters = ['onConversationAdded', 'onConversationUpdated']
const hooks = await v1.configuration
  .webhooks()
  .update({ method: 'POST', filters, postWebhookUrl: `http://127.0.0.1:${port}/hook?name=${encodeURIComponent(name)}` })

const event = once(receiver, 'event')
const created = await conversations.create({
  friendlyName: name,
  uniqueName: name,
  dateCreated: new Date('2026-01-02T03:04:05Z'),
  dateUpdated: new Date('2026-01-03T03:04:05Z'),
  messagingServiceSid: 'MG0123456789abcdef0123456789abcdef',
  attributes: JSON.stringify({ name }),
  state: 'inactive',
  timers: { inactive: 'PT5M', closed: 'P1D' },
  'timers.inactive': 'PT5M',
  'timers.closed': 'P1D',
  'bindings.email.address': 'support@example.com',
  'bindings.email.name': name,
  xTwilioWebhookEnabled: 'true',
})
const [webhook] = await event
receiver.close()

const byName = await conversations(encodeURIComponent(name)).fetch()
const updated = await conversations(created.sid).update({ friendlyName: `${name} again`, state: 'active' })
for (let i = 1; i <= 6; i++) await conversations.create({ friendlyName: `row ${i}` })
const pages = []
for (let page = await conversations.page({ pageSize: 2 }); page; page = await page.nextPage()) pages.push(page.instances.length)
const all = await conversations.list({ pageSize: 2 })
await conversations(created.sid).update({ state: 'closed' })
const closed = await conversations.list({ state: 'closed' })
const early = await conversations.list({ endDate: '2026-01-02' })
const failed = (error) => [error.status, error.code]

console.log(
  JSON.stringify({
    created: [created.friendlyName, created.uniqueName, created.attributes, created.state, created.messagingServiceSid],
    dates: created.dateCreated.toISOString(),
    timers: Object.keys(created.timers).toSorted(),
    bindings: created.bindings?.email?.name ?? null,
    byName: byName.sid === created.sid,
    updated: [updated.friendlyName, updated.state],
    pages,
    listed: all.length,
    closed: closed.length,
    early: early.length,
    filters: hooks.filters,
    webhook,
    notFound: await conversations('CH00000000000000000000000000000000').fetch().catch(failed),
    refused: await conversations(created.sid).update({ friendlyName: 'x' }).catch(failed),
  }),
)
