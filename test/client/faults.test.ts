import { randomInt } from 'node:crypto'
import { request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { clientsUnderLoad, type Ground } from '../support/client-faults.ts'
import { newDatabase } from '../support/databases.ts'
import { type Serving, serve } from '../support/process.ts'

const account_sid = `AC${'c'.repeat(32)}`
const auth_token = 'aTokenOfTheClientFaults'
const adminToken = 'operator-token-of-the-client-faults'
/** More for a longer run by hand. */
const rounds = Number(process.env.PARLEY_FAULT_ROUNDS ?? 3)

/** A server in a process of its own that can be ended and started again on its database. */
async function startGround(): Promise<Ground & { server: Serving; restart(): Promise<void> }> {
  const database = await newDatabase()
  onTestFinished(() => database.dispose())
  const settings = {
    env: {
      ...database.env,
      PARLEY_ACCOUNT_SID: account_sid,
      PARLEY_AUTH_TOKEN: auth_token,
      PARLEY_ADMIN_TOKEN: adminToken,
      PARLEY_LOG_LEVEL: 'silent',
    },
  }
  const ask = async (method: string, path: string, authorization: string, type: string, body: string | null) => {
    const answer = await request(ground.server.url + path, {
      method: method as 'GET',
      headers: { authorization, ...(body !== null && { 'content-type': type }) },
      body,
    })
    return { status: answer.statusCode, body: await answer.body.json() }
  }
  const basic = `Basic ${btoa(`${account_sid}:${auth_token}`)}`
  const ground = {
    server: await serve(settings),
    account_sid,
    url: () => ground.server.url,
    call: (method: string, path: string, form?: Record<string, string>) =>
      ask(method, path, basic, 'application/x-www-form-urlencoded', form ? new URLSearchParams(form).toString() : null),
    admin: (method: string, path: string, body: object) =>
      ask(method, `/admin/v1${path}`, `Bearer ${adminToken}`, 'application/json', JSON.stringify(body)),
    async restart() {
      ground.server = await serve(settings)
    },
  }
  onTestFinished(async () => void (await ground.server.end('SIGKILL')))
  return ground
}

/** A bound against hangs: two cores may be busy with much else. */
const patient = { timeout: 200_000 }

test('200 clients of a server that is killed under load miss no message that was answered, and hear of none twice', {
  timeout: 240_000,
}, async () => {
  const ground = await startGround()
  const load = await clientsUnderLoad(ground)
  for (let round = 0; round < rounds; round++) {
    await load.answered(200 + randomInt(200))
    // Each is away each time.
    await expect.poll(() => Math.min(...load.clients.map(({ connects }) => connects)), patient).toBeGreaterThan(round)
    await ground.server.end('SIGKILL')
    await ground.restart()
  }
  await load.answered(200)
  await load.finish()
})

test('200 clients of a server that stops are sent elsewhere, spread, and miss nothing', { timeout: 240_000 }, async () => {
  const ground = await startGround()
  const load = await clientsUnderLoad(ground)
  await load.answered(300)
  const { code } = await ground.server.end('SIGTERM')
  expect(code).toBe(0)
  await ground.restart()
  await load.answered(200)
  await load.finish()
  const waits = load.clients.flatMap(({ backoffs }) => backoffs)
  expect(waits).toHaveLength(load.clients.length)
  expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(100)
})
