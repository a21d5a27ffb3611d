import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { newDatabase } from '../support/databases.ts'
import { secretKey, startFileServer } from '../support/file-server.ts'
import { hostedToken, mirrorEnv, ownToken } from '../support/mirror.ts'
import { movedAccount } from '../support/moving.ts'
import { folder, parley, type Spawned, spawnParley } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { type Fault, startWall } from '../support/wall.ts'

/** Random, but the same in each run. */
function random(seed: string): () => number {
  let n = 0
  return () => createHash('sha256').update(`${seed} ${n++}`).digest().readUInt32BE() / 2 ** 32
}

const faults: readonly Fault[] = [
  'cut',
  'lost',
  'half',
  { status: 503 },
  { status: 500, body: '{"code":20500}' },
  { status: 429 },
]

/** Runs for as long as `isOver` says no, however often the mirror is away. */
async function persistently(isOver: () => boolean, step: () => Promise<unknown>): Promise<number> {
  let done = 0
  while (!isOver()) {
    await step().then(
      () => done++,
      // Refused, lost, or nobody listens: the next write is another one.
      () => new Promise((resolve) => setTimeout(resolve, 5)),
    )
  }
  return done
}

test('under load, over a bad network and killed on the way, both sides are the same in the end', async () => {
  await using database = await newDatabase()
  using files = folder()
  await using hosted = await startFileServer({ account_sid: movedAccount, secretKey, auth_token: hostedToken })
  await using wall = await startWall(hosted.url)
  const next = random('mirror')
  let isBad = true
  wall.judge = async () => {
    if (!isBad) return null
    // Slow, in another order than they came.
    if (next() < 0.2) await new Promise((resolve) => setTimeout(resolve, next() * 30))
    return next() < 0.15 ? (faults[Math.floor(next() * faults.length)] ?? null) : null
  }
  const port = String(20_000 + (process.pid % 20_000))
  const env = {
    ...database.env,
    PORT: port,
    ...mirrorEnv,
  }
  const settings = { env, cwd: files.path }
  const start = async (): Promise<Spawned> => {
    const mirror = spawnParley(['mirror', '--from-twilio', '--url', wall.url, '--rate', '1000', '--timeout', '5'], settings)
    await mirror.said(/Parley listens on/)
    return mirror
  }
  let mirror = await start()
  const sdk = sdkFor({ url: `http://127.0.0.1:${port}` }, movedAccount, ownToken, { check: false })
  const { v1 } = sdk.conversations
  const rooms: string[] = []
  while (rooms.length < 4) {
    await v1.conversations.create({ friendlyName: `room ${rooms.length}`, 'timers.closed': 'P1D' }).then(
      ({ sid }) => rooms.push(sid),
      () => {},
    )
  }
  let kills = 0
  const isOver = () => kills === 3
  let count = 0
  const writers = rooms.flatMap((room) => {
    const { messages, participants } = v1.conversations(room)
    const sids: string[] = []
    const steps = [
      () => messages.create({ author: `user ${count % 5}`, body: `message ${count++}`, attributes: `{"n":${count}}` }),
      () => messages.create({ body: `of nobody ${count++}` }).then(({ sid }) => sids.push(sid)),
      async () => sids.length > 0 && messages(String(sids[sids.length >> 1])).update({ body: `edited ${count++}` }),
      async () => sids.length > 2 && messages(String(sids.shift())).remove(),
      () => participants.create({ identity: `user ${count++ % 9}` }),
      () => v1.conversations(room).update({ friendlyName: `named ${count++}`, attributes: `{"c":${count}}` }),
      () => v1.conversations.create({ uniqueName: `unique ${count++}` }),
      () =>
        v1.conversationWithParticipants.create({
          friendlyName: `with ${count++}`,
          participant: [`{"identity":"in ${count % 7}"}`],
        }),
      async () => v1.users(`user ${count % 5}`).update({ friendlyName: `Name ${count++}` }),
    ]
    const one = () => persistently(isOver, async () => steps[Math.floor(next() * steps.length)]?.())
    return [one(), one()]
  })
  const killing = (async () => {
    while (kills < 3) {
      const before = wall.requests.length
      // In the midst of the work.
      while (wall.requests.length < before + 150) await new Promise((resolve) => setTimeout(resolve, 20))
      mirror.signal('SIGKILL')
      await mirror.ended
      mirror = await start()
      kills++
    }
  })()
  const done = await Promise.all([...writers, killing])
  expect(done.slice(0, -1).every((n) => Number(n) > 0)).toBe(true)
  isBad = false

  const compare = () => parley(['mirror', 'compare'], settings)
  // What is different is named, and read: the second comparison finds nothing.
  const settledHere = async () => {
    const { stdout } = await parley(['mirror', 'status', '--json'], settings)
    const { open_writes, to_read, failing } = JSON.parse(stdout)
    return [open_writes, to_read, failing]
  }
  await expect.poll(settledHere, { interval: 200 }).toEqual([0, 0, []])
  const result = await compare()
  expect(result).toMatchObject({ code: 0, stderr: '' })
  expect(result.stdout).toMatch(/compared .*: \d{3,} rows, 0 not the same/)

  // And by other means than its own.
  const shown = async (url: string, token: string) => {
    const { conversations } = sdkFor({ url }, movedAccount, token, { check: false }).conversations.v1
    const all = new Map<string, unknown>()
    for (const { sid, friendlyName, attributes, state } of await conversations.list()) {
      const inside = (await conversations(sid).messages.list()).map((one) => [
        one.sid,
        one.index,
        one.body,
        one.author,
        one.attributes,
      ])
      const members = (await conversations(sid).participants.list()).map(({ sid, identity }) => [sid, identity]).sort()
      all.set(sid, [friendlyName, attributes, state, inside, members])
    }
    return all
  }
  const there = await shown(hosted.url, hostedToken)
  const ended = await parley(['mirror', 'switch'], settings)
  expect(ended).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('is answered here since') })
  const requests = wall.requests.length
  expect(await shown(`http://127.0.0.1:${port}`, ownToken)).toEqual(there)
  expect(wall.requests.length).toBe(requests)
  expect(await parley(['mirror', 'switch'], settings)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('switched already'),
  })
  mirror.signal('SIGTERM')
  const { stdout } = await mirror.ended
  for (const secret of [hostedToken, ownToken, 'Basic ', 'user 1', 'of nobody']) expect(stdout).not.toContain(secret)
})
