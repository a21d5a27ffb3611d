// SDK 2 replaces the FormData of the process.
import { FormData, Request, request } from 'undici'
import { describe, expect } from 'vitest'
import { connected, conversationWith, next, opened, RawClient, tokenFor } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

const v1 = ({ sdk }: Tenant) => sdk.conversations.v1

const serviceOf = async (tenant: Tenant) => (await v1(tenant).configuration().fetch()).defaultChatServiceSid

/** A request of media with an access token. */
async function ask(
  tenant: Tenant,
  token: string,
  method: string,
  path: string,
  body?: string | Buffer,
  headers: Record<string, string> = {},
) {
  const answer = await request(`${tenant.url}/v1/Services/${path}`, {
    method: method as 'GET',
    headers: { 'X-Twilio-Token': token, ...headers },
    body: body ?? null,
  })
  const text = await answer.body.text()
  return {
    status: answer.statusCode,
    headers: answer.headers,
    body: /json/.test(String(answer.headers['content-type'])) ? JSON.parse(text) : text,
  }
}

let service: string
test.beforeEach(async ({ tenant }) => {
  service = await serviceOf(tenant)
})

describe('the SDK', () => {
  test('sends and receives media, several at once, with a mail body and its history', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann', 'bob')
    const [ann, bob] = await Promise.all([connected(tenant, 'ann'), connected(tenant, 'bob')])
    const [here, there] = await Promise.all([opened(ann, sid), opened(bob, sid)])
    const added = next(there, 'messageAdded')
    const media = { contentType: 'text/plain', filename: 'ü.txt', media: Buffer.from('first') }
    await here
      .prepareMessage()
      .setBody('look')
      .setSubject('Subject')
      .addMedia(media)
      .addMedia({ contentType: 'text/plain', media: Buffer.from('second') })
      .setEmailBody('text/html', { contentType: 'text/html', media: Buffer.from('<b>hi</b>') })
      .build()
      .send()
    const message = await added
    expect([message.body, message.subject, message.type]).toEqual(['look', 'Subject', 'media'])
    const found = [...message.attachedMedia, message.getEmailBody('text/html')]
    expect(
      found.map((one: { filename: string; category: string; size: number }) => [one.filename, one.category, one.size]).sort(),
    ).toEqual(
      [
        ['ü.txt', 'media', 5],
        [null, 'media', 6],
        [null, 'body', 9],
      ].sort(),
    )
    const urls = await bob.getTemporaryContentUrlsForMedia(found)
    const texts = await Promise.all([...urls.values()].map(async (one) => (await request(one)).body.text()))
    expect(texts.sort()).toEqual(['<b>hi</b>', 'first', 'second'])
    const [stored] = await v1(tenant).conversations(sid).messages.list()
    expect(stored?.media).toHaveLength(3)
    for (const one of stored?.media ?? []) expect(Object.keys(one).sort()).toEqual(['content_type', 'filename', 'sid', 'size'])
  })
})

describe('media by an access token', () => {
  test('are for their uploader until a message takes them, then for those who read it', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann', 'bob')
    const [ann, bob, carol] = [await tokenFor(tenant, 'ann'), await tokenFor(tenant, 'bob'), await tokenFor(tenant, 'carol')]
    for (const identity of ['ann', 'bob', 'carol']) await connected(tenant, identity)
    const made = await ask(tenant, ann, 'POST', `${service}/Media?Category=media&Filename=a.txt`, 'content', {
      'content-type': 'text/plain',
    })
    expect([made.status, made.body.author, made.body.category]).toEqual([201, 'ann', 'media'])
    const path = `${service}/Media/${made.body.sid}`
    const seen = async () => Promise.all([ann, bob, carol].map(async (token) => (await ask(tenant, token, 'GET', path)).status))
    expect(await seen()).toEqual([200, 404, 404])
    await v1(tenant).conversations(sid).messages.create({ author: 'ann', mediaSid: made.body.sid })
    expect(await seen()).toEqual([200, 200, 404])
    const body = JSON.stringify({ command: 'get', list: [{ media_sid: made.body.sid }, { media_sid: 'ME0' }] })
    const set = await ask(tenant, bob, 'POST', `${service}/MediaSet`, body)
    expect(set.body.map(({ code }: { code: number }) => code)).toEqual([200, 404])
    expect(
      (await ask(tenant, carol, 'POST', `${service}/MediaSet`, body)).body.map(({ code }: { code: number }) => code),
    ).toEqual([404, 404])
    expect((await ask(tenant, bob, 'GET', `${path}/Content`)).body).toBe('content')
    expect((await ask(tenant, carol, 'GET', `${path}/Content`)).status).toBe(404)
    expect((await ask(tenant, ann, 'DELETE', path)).status).toBe(403)
    await v1(tenant).conversations(sid).participants('bob').remove()
    expect(await seen()).toEqual([200, 404, 404])
  })

  test('are not taken by a message of anybody else', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'carol')
    const ann = await tokenFor(tenant, 'ann')
    await connected(tenant, 'ann')
    const upload = async () =>
      (await ask(tenant, ann, 'POST', `${service}/Media`, 'content', { 'content-type': 'text/plain' })).body.sid
    const raw = await RawClient.admitted(tenant, 'carol')
    const send = (media_sids: string[]) =>
      raw.request('POST', `/Client/v2/Services/${service}/Conversations/${sid}/Messages`, { body: { media_sids } })
    const unknown = await send([`ME${'0'.repeat(32)}`])
    expect(unknown).toMatchObject({ status: 400, body: { code: 50507 } })
    const free = await upload()
    expect(await send([free])).toEqual(unknown)
    const used = await upload()
    await v1(tenant).conversations(sid).messages.create({ author: 'ann', mediaSid: used })
    expect(await send([used])).toEqual(unknown)
    // By REST, which is the administrator, they can be sent by anybody.
    const { media } = await v1(tenant).conversations(sid).messages.create({ author: 'carol', mediaSid: free })
    expect(media).toHaveLength(1)
  })

  test('come in a form whose file has any name', async ({ tenant }) => {
    const token = await tokenFor(tenant, 'ann')
    const send = async (...parts: [string, string | Blob, string?][]) => {
      const form = new FormData()
      for (const [name, value, filename] of parts) {
        if (typeof value === 'string') form.append(name, value)
        else form.append(name, value, filename)
      }
      const made = new Request('http://localhost', { method: 'POST', body: form })
      const type = { 'content-type': made.headers.get('content-type') ?? '' }
      return ask(tenant, token, 'POST', `${service}/Media`, Buffer.from(await made.arrayBuffer()), type)
    }
    const file = new Blob(['content'], { type: 'text/plain' })
    const { status, body } = await send(['note', 'x'], ['file', file, 'ü.txt'], ['more', file, 'b.txt'])
    expect([status, body.filename, body.content_type, body.size]).toEqual([201, 'ü.txt', 'text/plain', 7])
    expect((await send(['note', 'x'])).body).toMatchObject({ status: 400, code: 20001 })
  })

  test('need a good token, of this service', async ({ tenant }) => {
    const other = (await v1(tenant).services.create({ friendlyName: 'x' })).sid
    const token = await tokenFor(tenant, 'ann')
    expect((await ask(tenant, 'bad', 'POST', `${service}/Media`, 'x')).body).toMatchObject({ status: 401, code: 20101 })
    expect((await ask(tenant, token, 'POST', `${other}/Media`, 'x')).status).toBe(404)
    expect((await ask(tenant, token, 'POST', `${other}/MediaSet`, '{"command":"get","list":[]}')).status).toBe(404)
    await tenant.advance('PT2H')
    expect((await ask(tenant, token, 'POST', `${service}/Media`, 'x')).body).toMatchObject({ status: 401, code: 20104 })
  })

  test('a set that is none is refused', async ({ tenant }) => {
    const token = await tokenFor(tenant, 'ann')
    const sets = [
      '',
      '{',
      '[]',
      '{"command":"put","list":[]}',
      '{"command":"get"}',
      '{"command":"get","list":[7]}',
      '{"command":"get","list":[{}]}',
    ]
    for (const body of sets) expect((await ask(tenant, token, 'POST', `${service}/MediaSet`, body)).status).toBe(400)
    expect((await ask(tenant, token, 'POST', `${service}/MediaSet`, 'x'.repeat(70_000))).status).toBe(413)
  })

  test('browsers are told that they may send it', async ({ tenant }) => {
    const answer = await request(`${tenant.url}/v1/Services/${service}/MediaSet`, { method: 'OPTIONS' })
    expect(answer.headers['access-control-allow-headers']).toContain('X-Twilio-Token')
  })
})
