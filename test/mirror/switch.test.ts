import { expect, test } from 'vitest'
import { hostedToken, ownToken, settled, startMirrored, statusOf, switched } from '../support/mirror.ts'
import { sdkFor } from '../support/sdk.ts'

test('until the switch the hosted side decides, after it Parley does, with timers and webhooks', async () => {
  await using scene = await startMirrored()
  const { mirror, hosted, wall } = scene
  const { sid } = (await mirror.call('POST', '/v1/Conversations', { UniqueName: 'one', 'Timers.Closed': 'PT10M' })).body
  await mirror.call('POST', '/v1/Conversations/one/Messages', { Body: 'before' })
  const soon = (await mirror.call('POST', '/v1/Conversations', { UniqueName: 'late', 'Timers.Closed': 'PT30M' })).body
  await settled(mirror)
  await mirror.advance('PT11M')
  // Its own clock says that it is over: the hosted side has not closed it.
  expect(await mirror.rows('conversations')).toMatchObject([{ state: 'active' }, { state: 'active' }])
  expect(await mirror.rows('deliveries')).toEqual([])

  expect(await switched(mirror)).toMatchObject({ state: 'switched', job_error: null, report: { count: 0 } })
  const before = wall.requests.length
  await mirror.advance('PT1S')
  expect((await mirror.call('GET', '/v1/Conversations/one')).body).toMatchObject({ sid, state: 'closed' })
  expect((await mirror.call('GET', '/v1/Conversations/late')).body).toMatchObject({ sid: soon.sid, state: 'active' })
  const message = (await mirror.call('POST', '/v1/Conversations/late/Messages', { Body: 'after' })).body
  expect(message).toMatchObject({ index: 0 })
  // A message restarts the timer by its duration.
  const { timers } = (await mirror.call('GET', '/v1/Conversations/late')).body
  expect(Date.parse(timers.date_closed)).toBeGreaterThan(mirror.clock.now() + 29 * 60_000)
  expect(wall.requests.length).toBe(before)
  expect((await hosted.call('GET', '/v1/Conversations/late/Messages')).body.messages).toEqual([])
  await expect(mirror.admin('POST', '/mirror', { job: 'switch' })).rejects.toThrow('409')
})

test('a difference ends the switch, and it goes on following', async () => {
  await using scene = await startMirrored()
  const { mirror, hosted, wall } = scene
  const { sid } = (await hosted.call('POST', '/v1/Conversations', { UniqueName: 'one' })).body
  // It is listed, but cannot be read by itself.
  wall.judge = ({ path }) => (path.endsWith(sid) ? { status: 403, body: '{"code":20403,"message":"no"}' } : null)
  const status = await switched(mirror)
  expect(status).toMatchObject({ state: 'following', job_error: expect.stringContaining('could not be stored') })
  expect(status.failing).not.toEqual([])
  for (const failing of status.failing) expect(failing).toMatchObject({ error: expect.stringContaining('403') })
  expect((await mirror.call('POST', '/v1/Conversations', { UniqueName: 'two' })).status).toBe(201)
  wall.judge = () => null
  expect(await switched(mirror, { quick: true })).toMatchObject({ state: 'switched', job_error: null })
  expect((await mirror.call('GET', '/v1/Conversations/one')).body).toMatchObject({ sid })
  expect((await statusOf(mirror)).state).toBe('switched')
})

test('writes wait outside while it switches, and none is lost', async () => {
  await using scene = await startMirrored()
  const { mirror, hosted } = scene
  const sdk = sdkFor(mirror, mirror.account_sid, ownToken)
  const room = await sdk.conversations.v1.conversations.create({ uniqueName: 'room' })
  let isOver = false
  const written: string[] = []
  const refused: number[] = []
  const write = async () => {
    while (!isOver) {
      const { status, body } = await mirror.call('POST', '/v1/Conversations/room/Messages', { Body: 'x' }, { check: false })
      if (status === 201) written.push(body.sid)
      else refused.push(status)
    }
  }
  const writers = [write(), write(), write()]
  expect(await switched(mirror)).toMatchObject({ state: 'switched', job_error: null })
  const there = await sdkFor(hosted, hosted.account_sid, hostedToken).conversations.v1.conversations(room.sid).messages.list()
  await expect.poll(() => written.length).toBeGreaterThan(there.length)
  isOver = true
  await Promise.all(writers)
  const here = await sdk.conversations.v1.conversations(room.sid).messages.list()
  expect(here.map(({ sid }) => sid).sort()).toEqual([...written].sort())
  expect(here.map(({ index }) => index)).toEqual(here.map((_, i) => i))
  expect(here.map(({ sid }) => sid)).toEqual(expect.arrayContaining(there.map(({ sid }) => sid)))
  expect([...new Set(refused)].filter((status) => status !== 503)).toEqual([])
})
