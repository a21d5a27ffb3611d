import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { joinParley, startParley } from '../../src/testing.ts'
import { folder } from '../support/process.ts'

const kit = fileURLToPath(new URL('../../src/testing.ts', import.meta.url))
const sid = `AC${'a'.repeat(32)}`
const conversation_sid = `CH${'1'.repeat(32)}`
const seed = {
  accounts: [{ sid, auth_token: 'theTokenOfTheSeed', conversations: [{ sid: conversation_sid, timers: { inactive: 'PT1M' } }] }],
}

test.for([{ child: false }, { child: true }])('the kit does the same with %j', async ({ child }) => {
  let url: string
  {
    await using parley = await startParley({ seed, child })
    url = parley.url
    expect(parley.account).toEqual({ sid, authToken: 'theTokenOfTheSeed' })
    const { conversations } = parley.client({ webhooks: true }).conversations.v1
    await parley.clock.advance('PT1M')
    await parley.webhooks.next({ EventType: 'onConversationStateUpdated', ConversationSid: conversation_sid })
    const snapshot = await parley.snapshot()
    await conversations(conversation_sid).remove()
    await parley.restore(snapshot)
    expect((await conversations(conversation_sid).fetch()).state).toBe('inactive')
    await parley.reset()
    expect((await conversations.list()).map(({ sid, state }) => [sid, state])).toEqual([[conversation_sid, 'active']])
    await parley.fail({ operation: 'FetchConversation', status: 503 })
    await expect(conversations(conversation_sid).fetch()).rejects.toMatchObject({ status: 503 })
    await using own = await joinParley(parley.connection)
    expect(await own.client().conversations.v1.conversations.list()).toEqual([])
  }
  await expect(fetch(`${url}/healthz`)).rejects.toThrow()
})

test.for([{ child: false }, { child: true }])('a seed or a setting that is wrong is said, with %j', async ({ child }) => {
  await expect(startParley({ child, seed: { accounts: [{ user: [] }] } })).rejects.toThrow(
    'accounts[0] has the unknown key user: users may be meant',
  )
  await expect(startParley({ child, settings: { PORT: 'http' } })).rejects.toThrow('PORT must be a whole number from 0 to 65535')
  using place = folder()
  writeFileSync(place.file('seed.yaml'), 'accounts: [')
  await expect(startParley({ child, seed: place.file('seed.yaml') })).rejects.toThrow(/seed\.yaml is not YAML: line 1/)
})

test.for([{ child: false }, { child: true }])('secrets of the settings may be in files, with %j', async ({ child }) => {
  using place = folder()
  writeFileSync(place.file('admin'), 'operatorTokenOfTheFile\n')
  writeFileSync(place.file('auth'), 'authTokenOfTheFile\n')
  const settings = { PARLEY_ADMIN_TOKEN_FILE: place.file('admin'), PARLEY_AUTH_TOKEN_FILE: place.file('auth') }
  await using parley = await startParley({ child, settings })
  expect([parley.connection.adminToken, parley.account.authToken]).toEqual(['operatorTokenOfTheFile', 'authTokenOfTheFile'])
  expect(await parley.client().conversations.v1.conversations.list()).toEqual([])
})

test('a seed is a YAML file, too', async () => {
  using place = folder()
  writeFileSync(
    place.file('seed.yaml'),
    `accounts:\n  - conversations:\n      - sid: ${conversation_sid}\n        friendly_name: From a file\n`,
  )
  await using parley = await startParley({ seed: place.file('seed.yaml') })
  expect((await parley.client().conversations.v1.conversations(conversation_sid).fetch()).friendlyName).toBe('From a file')
})

test('a child ends when its parent is killed', async () => {
  const script = `
    import { startParley } from ${JSON.stringify(kit)}
    const parley = await startParley({ child: true })
    console.log(parley.url)
    setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [url] = (await once(createInterface(parent.stdout), 'line')) as [string]
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
  parent.kill('SIGKILL')
  await once(parent, 'exit')
  await expect
    .poll(() =>
      fetch(`${url}/healthz`).then(
        () => 'alive',
        () => 'gone',
      ),
    )
    .toBe('gone')
})

test('a process that forgets to stop a child ends all the same', async () => {
  const script = `
    import { startParley } from ${JSON.stringify(kit)}
    const parley = await startParley({ child: true })
    await parley.client().conversations.v1.conversations.create({})
    console.log('done')`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 100_000 })
  expect(stdout).toBe('done\n')
})

test('a process that exits without stopping its server leaves nothing in the temporary folder', async () => {
  using place = folder()
  const script = `
    import { readdirSync } from 'node:fs'
    import { startParley } from ${JSON.stringify(kit)}
    await startParley()
    await startParley()
    console.log(readdirSync(process.env.TMPDIR).filter((name) => name.startsWith('parley-')).length > 0)
    process.exit(0)`
  const env = { ...process.env, TMPDIR: place.path }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env, timeout: 100_000 })
  expect(stdout).toBe('true\n')
  expect(readdirSync(place.path).filter((name) => name.startsWith('parley-'))).toEqual([])
})

test.for([{ child: false }, { child: true }])('CommonJS requires the kit, with %j', async (options) => {
  using place = folder()
  writeFileSync(
    place.file('kit.cjs'),
    `const { startParley } = require(${JSON.stringify(kit)})
    async function main() {
      const parley = await startParley(${JSON.stringify(options)})
      const { conversations } = parley.client().conversations.v1
      const { sid } = await conversations.create({ 'timers.inactive': 'PT1M' })
      await parley.clock.advance('PT1M')
      await parley.webhooks.next({ ConversationSid: sid })
      console.log((await conversations(sid).fetch()).state)
      await parley.stop()
    }
    main()`,
  )
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [place.file('kit.cjs')], { timeout: 100_000 })
  expect({ stdout, stderr: stderr.replace(/^.*ExperimentalWarning.*\n.*\n/m, '') }).toEqual({ stdout: 'inactive\n', stderr: '' })
})
