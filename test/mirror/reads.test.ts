import { pino } from 'pino'
import { expect, test } from 'vitest'
import { settled, startMirrored, statusOf } from '../support/mirror.ts'

test('with --reads compare a read is answered by the hosted side, and what is different here is named without its values', async () => {
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) })
  await using scene = await startMirrored({ reads: 'compare' }, {}, { log })
  const { mirror, hosted } = scene
  const { sid } = (await mirror.call('POST', '/v1/Conversations', { UniqueName: 'room', FriendlyName: 'same' })).body
  const make = (Body: string) => mirror.call('POST', '/v1/Conversations/room/Messages', { Body, Author: 'ada@example.com' })
  const message = (await make('one')).body
  await settled(mirror)
  const reads = [
    '/v1/Conversations',
    '/v1/Conversations/room',
    `/v1/Conversations/${sid}/Messages?Order=desc`,
    `/v1/Conversations/${sid}/Messages/${message.sid}`,
    '/v1/Conversations/nowhere',
    '/v1/Users/ada%40example.com/Conversations',
    '/v1/Configuration',
    '/v1/Services?PageSize=1',
  ]
  const readAll = async () => {
    for (const path of reads) await mirror.call('GET', path, undefined, { check: false })
  }
  await readAll()
  const counted = async () => {
    const { reads } = await statusOf(mirror)
    return Number(reads?.compared) + Number(reads?.skipped)
  }
  await expect.poll(counted).toBe(reads.length)
  expect((await statusOf(mirror)).reads).toMatchObject({ compared: reads.length, different: 0, skipped: 0, differences: [] })

  // Past the mirror, which has no pass.
  await hosted.call('POST', `/v1/Conversations/${sid}`, { FriendlyName: 'secret name' })
  const past = (await hosted.call('POST', `/v1/Conversations/${sid}/Messages`, { Body: 'secret text' })).body
  await hosted.call('DELETE', `/v1/Conversations/${sid}/Messages/${message.sid}`)
  const answer = await mirror.call('GET', '/v1/Conversations/room')
  expect(answer.body).toMatchObject({ friendly_name: 'secret name' })
  await readAll()
  await expect.poll(counted).toBe(2 * reads.length + 1)
  const { reads: report } = await statusOf(mirror)
  expect(report?.differences).toEqual(
    expect.arrayContaining([
      { operation: expect.any(String), sid, is: 'different', keys: expect.arrayContaining(['friendly_name']) },
      { operation: expect.any(String), sid: past.sid, is: 'missing here', keys: [] },
      { operation: expect.any(String), sid: message.sid, is: 'missing there', keys: [] },
    ]),
  )
  expect(report?.different).toBeGreaterThanOrEqual(4)
  for (const text of ['secret', 'ada@', 'ada%40']) expect(JSON.stringify([report, lines])).not.toContain(text)
  expect(lines.join('')).toContain('a read is not the same on both sides')
})

test('while it switches no read is compared: the switch would wait for reads, which do not end', async () => {
  await using scene = await startMirrored({ reads: 'compare' })
  const { mirror, wall } = scene
  await mirror.call('POST', '/v1/Conversations', { UniqueName: 'room' })
  await settled(mirror)
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  wall.judge = async ({ path }) => {
    if (!path.endsWith('/room') && (await statusOf(mirror)).state === 'switching') await released
    return null
  }
  await mirror.admin('POST', '/mirror', { job: 'switch' })
  await expect.poll(async () => (await statusOf(mirror)).state).toBe('switching')
  expect((await mirror.call('GET', '/v1/Conversations/room')).status).toBe(200)
  expect((await statusOf(mirror)).reads).toMatchObject({ compared: 0, skipped: 1 })
  release()
  await expect.poll(async () => (await statusOf(mirror)).job).toBe(null)
  expect(await statusOf(mirror)).toMatchObject({ state: 'switched', job_error: null })
})
