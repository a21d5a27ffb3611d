import type { Client, Conversation } from '@twilio/conversations'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { describeInBrowser, sdkBundle, servePage } from '../support/browser.ts'
import { conversationWith, socketUrl, tokenFor } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

/*
 * The official SDK's bundle in a real browser, on a page of another origin than the server: what differs from Node there are the
 * websocket, uploads as forms, preflights, and reloading.
 */

/** What the page below has. */
declare global {
  var Twilio: { Conversations: typeof import('@twilio/conversations') }
  var client: Client
  var here: Conversation
  /** What the page was told of, in order. */
  var told: string[]
  /** `uri`: null for the SDK's own. */
  var start: (token: string, uri: string | null, sid: string) => Promise<void>
}

const script = `
  globalThis.told = []
  globalThis.start = async (token, uri, sid) => {
    globalThis.client = new Twilio.Conversations.Client(token, { logLevel: 'silent', ...(uri && { Twilsock: { uri } }) })
    for (const event of ['tokenAboutToExpire', 'tokenExpired', 'connectionError']) client.on(event, () => told.push(event))
    await new Promise((resolve, reject) => {
      client.on('initialized', resolve)
      client.on('initFailed', ({ error }) => reject(new Error(error?.message)))
    })
    globalThis.here = await client.getConversationBySid(sid)
    await here.getMessages()
    here.on('messageAdded', ({ body }) => told.push('added ' + body))
    here.on('typingStarted', ({ identity }) => told.push('typing ' + identity))
  }
`

const html = `<!doctype html><meta charset="utf-8"><title>SDK</title><script src="/sdk.js"></script><script>${script}</script>`
const files = {
  '/': { type: 'text/html', content: html },
  '/sdk.js': { type: 'text/javascript', content: sdkBundle() },
}

describeInBrowser('the SDK in a browser', (open) => {
  /** A page on which an identity has a client; `hosts`: whom it has talked to. */
  async function pageOf(tenant: Tenant, identity: string, sid: string, lifetime = 3600) {
    const page = await open()
    const hosts = new Set<string>()
    page.on('request', (request) => hosts.add(new URL(request.url()).hostname))
    page.on('websocket', (socket) => hosts.add(new URL(socket.url()).hostname))
    await page.goto(await servePage(files))
    const token = await tokenFor(tenant, identity, { lifetime })
    const begin = () => page.evaluate((args) => start(...args), [token, socketUrl(tenant), sid] as const)
    await begin()
    return { page, hosts, begin }
  }

  const told = (page: Page) => page.evaluate(() => globalThis.told)

  test('initializes, sends, receives and sees others type; it talks to the server alone', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann', 'bob')
    const [ann, bob] = [await pageOf(tenant, 'ann', sid), await pageOf(tenant, 'bob', sid)]
    expect(await ann.page.evaluate(() => Twilio.Conversations.Client.version)).toBe('3.0.1')
    await ann.page.evaluate(() => here.sendMessage('from a browser 😀'))
    await expect.poll(() => told(bob.page)).toEqual(['added from a browser 😀'])
    await bob.page.evaluate(() => here.typing())
    await expect.poll(() => told(ann.page)).toContain('typing bob')
    await tenant.sdk.conversations.v1.conversations(sid).messages.create({ body: 'by REST' })
    await expect.poll(() => told(bob.page)).toEqual(['added from a browser 😀', 'added by REST'])
    expect([...ann.hosts].sort()).toEqual(['127.0.0.1', 'localhost'])
  })

  test('after a reload knows the history, announces none of it and misses nothing', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann')
    const { messages } = tenant.sdk.conversations.v1.conversations(sid)
    for (let i = 0; i < 80; i++) await messages.create({ body: `${i}` })
    const { page, begin } = await pageOf(tenant, 'ann', sid)
    for (let reload = 0; reload < 3; reload++) {
      await page.reload()
      await messages.create({ body: `while away ${reload}` })
      const started = begin()
      await messages.create({ body: `in between ${reload}` })
      await started
      await messages.create({ body: `afterwards ${reload}` })
      await expect.poll(() => told(page)).toContain(`added afterwards ${reload}`)
      expect((await told(page)).filter((event) => /added \d/.test(event))).toEqual([])
      const history = await page.evaluate(async () => (await here.getMessages(6)).items.map(({ body }) => body))
      expect(history.slice(-3)).toEqual([`while away ${reload}`, `in between ${reload}`, `afterwards ${reload}`])
    }
  })

  test('uploads a file as a form, and another user reads it by its temporary link', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann', 'bob')
    const [ann, bob] = [await pageOf(tenant, 'ann', sid), await pageOf(tenant, 'bob', sid)]
    await ann.page.evaluate(async () => {
      const form = new FormData()
      form.append('file', new Blob(['content 😀'], { type: 'text/plain' }), 'ü.txt')
      await here.prepareMessage().setBody('look').addMedia(form).build().send()
    })
    await expect.poll(() => told(bob.page)).toEqual(['added look'])
    const read = await bob.page.evaluate(async () => {
      const [media] = (await here.getMessages()).items[0]?.attachedMedia ?? []
      const response = await fetch((await media?.getContentTemporaryUrl()) ?? '')
      return [media?.filename, media?.contentType, await response.text()]
    })
    expect(read).toEqual(['ü.txt', 'text/plain', 'content 😀'])
  })

  test('finds the server without any option where DNS leads its host to it', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann')
    const { tls_port } = await tenant.admin('POST', '/gateway', {})
    const page = await open([`--host-resolver-rules=MAP tsock.us1.twilio.com 127.0.0.1:${tls_port}`])
    const sockets: string[] = []
    page.on('websocket', (socket) => sockets.push(socket.url()))
    await page.goto(await servePage(files))
    await page.evaluate((args) => start(...args), [await tokenFor(tenant, 'ann'), null, sid] as const)
    await page.evaluate(async () => {
      const form = new FormData()
      form.append('file', new Blob(['content'], { type: 'text/plain' }), 'a.txt')
      await here.prepareMessage().setBody('look').addMedia(form).build().send()
    })
    await expect.poll(() => told(page)).toEqual(['added look'])
    const read = await page.evaluate(async () => {
      const url = (await (await here.getMessages()).items[0]?.attachedMedia?.[0]?.getContentTemporaryUrl()) ?? ''
      return [new URL(url).host, await (await fetch(url)).text()]
    })
    expect(read).toEqual(['tsock.us1.twilio.com', 'content'])
    expect(sockets).toEqual(['wss://tsock.us1.twilio.com/v3/wsconnect'])
  })

  test('is warned before its token ends, told when it has ended, and goes on with a new one', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann')
    const { page } = await pageOf(tenant, 'ann', sid, 600)
    const renew = async () => {
      const token = await tokenFor(tenant, 'ann', { lifetime: 600 })
      await page.evaluate((next) => client.updateToken(next).then(() => {}), token)
    }
    await tenant.advance('PT8M')
    await expect.poll(() => told(page)).toEqual(['tokenAboutToExpire'])
    await renew()
    await page.evaluate(() => here.sendMessage('renewed'))
    await expect.poll(() => told(page)).toEqual(['tokenAboutToExpire', 'added renewed'])
    await tenant.advance('PT11M')
    await expect.poll(() => told(page)).toContain('tokenExpired')
    await tenant.sdk.conversations.v1.conversations(sid).messages.create({ body: 'meanwhile' })
    await renew()
    await expect.poll(() => told(page)).toContain('added meanwhile')
  })
})
