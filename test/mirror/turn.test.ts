import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { turnMs } from '../../src/mirror/turn.ts'
import { engine, inspect, newDatabase } from '../support/databases.ts'
import { secretKey, startFileServer } from '../support/file-server.ts'
import { hostedToken, mirrorEnv, mirrorSettings, ownToken } from '../support/mirror.ts'
import { movedAccount } from '../support/moving.ts'
import { folder, parley, serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { startServer } from '../support/server.ts'
import { startWall } from '../support/wall.ts'

const isShared = engine === 'postgres'

/** A hosted side, and a database that is there for several processes. */
async function startScene() {
  const database = await newDatabase()
  const hosted = await startFileServer({ account_sid: movedAccount, secretKey, auth_token: hostedToken })
  const wall = await startWall(hosted.url)
  const files = folder()
  const env = {
    ...database.env,
    ...mirrorEnv,
  }
  const settings = { env, cwd: files.path }
  const args = ['--from-twilio', '--url', wall.url, '--rate', '1000']
  return {
    database,
    wall,
    /** The command, to its end. */
    run: (...command: string[]) => parley(['mirror', ...command], { ...settings, env: { ...env, PORT: '0' } }),
    args,
    /** As a process of its own, which can be killed. */
    spawn: () => serve(settings, args, 'mirror'),
    /** In this process. Whoever has the account and does not renew it loses it at once, as if ten seconds had gone by. */
    async start() {
      let aheadMs = 0
      const said: string[] = []
      const lines = new Writable({
        write(line: Buffer, _encoding, done) {
          said.push(String(line))
          if (String(line).includes('waiting whether it still does')) aheadMs = turnMs
          done()
        },
      })
      const monotonicMs = () => performance.now() + aheadMs
      const config = { ...database.config, account_sid: movedAccount, secretKey, auth_token: ownToken }
      const options = { mirror: mirrorSettings(wall.url), monotonicMs, log: pino({ level: 'info' }, lines) }
      return { ...(await startServer(config, options)), said }
    },
    async [Symbol.asyncDispose]() {
      await wall[Symbol.asyncDispose]()
      await hosted.stop()
      files[Symbol.dispose]()
      await database.dispose()
    },
  }
}

/** How many writes have reached the hosted side. */
const writesOf = ({ wall }: Awaited<ReturnType<typeof startScene>>) =>
  wall.requests.filter(({ method }) => method === 'POST').length

/** Resolves once a conversation is made by way of a mirror. */
async function writes(url: string): Promise<void> {
  const { conversations } = sdkFor({ url }, movedAccount, ownToken, { check: false }).conversations.v1
  await expect.poll(() => conversations.create({}).then(({ sid }) => sid, String)).toMatch(/^CH/)
}

test('a second process is told who follows the account; one that was killed leaves it', async () => {
  await using scene = await startScene()
  await using first = await scene.spawn()
  await writes(first.url)
  const second = await scene.run(...scene.args)
  expect(second).toMatchObject({ code: 1, stderr: expect.not.stringContaining('    at ') })
  if (isShared) {
    const whose = new RegExp(
      `the account ${movedAccount} is followed by another process already \\(host \\S+, process ${first.pid}, since 20`,
    )
    expect(second.stderr).toMatch(whose)
    const forgotten = await scene.run('forget', '--port', '1')
    expect(forgotten).toMatchObject({ code: 1, stderr: expect.stringMatching(whose) })
  } else expect(second.stderr).toContain('is in use by another Parley process')
  await writes(first.url)

  await first.end('SIGKILL')
  {
    await using third = await scene.start()
    await writes(third.url)
  }
  // Who ends of itself leaves nothing to be waited for.
  await using inside = inspect(scene.database.config)
  expect((await inside.rows('installation')).filter(({ name }) => name.startsWith('mirror '))).toEqual([])
  await using fourth = await scene.start()
  await writes(fourth.url)
  expect(fourth.said.join('')).not.toContain('waiting whether')
})

test.runIf(isShared)('a process that was held up and has lost the account sends nothing, until it has it again', async () => {
  await using scene = await startScene()
  await using first = await scene.spawn()
  await writes(first.url)
  first.signal('SIGSTOP')
  {
    await using second = await scene.start()
    await writes(second.url)
    const before = writesOf(scene)
    first.signal('SIGCONT')
    const { conversations } = sdkFor(first, movedAccount, ownToken, { check: false }).conversations.v1
    for (let tries = 0; tries < 3; tries++) await expect(conversations.create({})).rejects.toMatchObject({ status: 503 })
    await expect.poll(first.stdout).toMatch(/is followed by another process already .* This one sends no writes/)
    expect(writesOf(scene)).toBe(before)
    await writes(second.url)
  }
  await writes(first.url)
  await expect.poll(first.stdout).toContain('follows the account again')
})
