import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { parleyClient } from '../src/client.ts'
import { folder } from './support/process.ts'
import { startServer } from './support/server.ts'

afterEach(() => vi.unstubAllEnvs())

async function started() {
  const server = await startServer()
  onTestFinished(server.stop)
  const { url, account_sid: accountSid, auth_token: authToken } = server
  return { server, url, accountSid, authToken }
}

describe('parleyClient', () => {
  test('is the official client, on Parley: names, pages and errors are as they are against Twilio', async () => {
    const { url, accountSid, authToken } = await started()
    const { v1 } = parleyClient({ url: `${url}/`, accountSid, authToken }).conversations
    for (const friendlyName of ['a', 'b', 'Ördér 50% + 1 😀']) await v1.conversations.create({ friendlyName })
    expect((await v1.conversations.list({ pageSize: 1 })).map(({ friendlyName }) => friendlyName)).toContain('Ördér 50% + 1 😀')
    expect((await v1.conversations.page({ pageSize: 2 })).nextPageUrl).toMatch(new RegExp(`^${url}/v1/Conversations\\?`))
    await expect(v1.conversations('CHnone').fetch()).rejects.toMatchObject({ status: 404, code: 20404 })
  })

  test('accepts an API key, and takes account and token from the environment', async () => {
    const { server, url, accountSid, authToken } = await started()
    const key = (await server.admin('POST', `/accounts/${accountSid}/keys`, {})) as { sid: string; secret: string }
    const withKey = parleyClient({ url, accountSid, keySid: key.sid, keySecret: key.secret })
    expect(await withKey.conversations.v1.conversations.list()).toEqual([])
    vi.stubEnv('TWILIO_ACCOUNT_SID', accountSid)
    vi.stubEnv('TWILIO_AUTH_TOKEN', authToken)
    expect(await parleyClient({ url }).conversations.v1.conversations.list()).toEqual([])
  })

  test.each([{ edge: 'dublin' }, { edge: 'dublin', region: 'ie1' }])('with %j still is', async (where) => {
    const { url, accountSid, authToken } = await started()
    const client = parleyClient({ url, accountSid, authToken, ...where })
    expect(await client.conversations.v1.services.list()).toHaveLength(1)
    vi.stubEnv('TWILIO_EDGE', 'sydney')
    vi.stubEnv('TWILIO_REGION', 'au1')
    expect(await parleyClient({ url, accountSid, authToken }).conversations.v1.services.list()).toHaveLength(1)
  })

  test('sends nothing to any other host', async () => {
    const { url, accountSid, authToken } = await started()
    const client = parleyClient({ url, accountSid, authToken })
    await expect(client.api.v2010.accounts.list()).rejects.toThrow(/not for Parley, so it was not sent: https:\/\/api\./)
    for (const uri of [
      'https://conversations.twilio.com.example/v1',
      'https://conversations.a.b.c.twilio.com/v1',
      'http://conversations.twilio.com/v1',
      'https://conversations.twilio.com:8443/v1',
      `${url}.example/v1`,
      'https://xconversations.twilio.com/v1',
    ]) {
      await expect(client.httpClient.request({ method: 'get', uri })).rejects.toThrow(/not for Parley/)
    }
  })

  test('says what is missing', () => {
    vi.stubEnv('TWILIO_ACCOUNT_SID', '')
    vi.stubEnv('TWILIO_AUTH_TOKEN', '')
    expect(() => parleyClient()).toThrow('an account SID and its auth token')
    expect(() => parleyClient({ accountSid: 'AC1', keySid: 'SK1' })).toThrow('an API key and its secret')
    for (const url of ['127.0.0.1:8080', '', 'ftp://127.0.0.1'])
      expect(() => parleyClient({ url })).toThrow('url must be an http(s) URL')
  })
})

describe.each([
  ['parleyClient()', 'client.ts', "parleyClient({ accountSid: 'AC1', authToken: 'x' })", 'npm install twilio'],
  [
    'client()',
    'testing/client.ts',
    "createClient('http://127.0.0.1:1', { sid: 'AC1', authToken: 'x' })",
    'npm install --save-dev twilio',
  ],
])('%s', (name, module, call, install) => {
  /** Returns what it throws, where nothing is installed but what `place` has. */
  function thrownIn(place: { readonly path: string; file(name: string): string }): string {
    for (const file of ['lead.ts', 'client.ts', 'testing/client.ts']) cpSync(`src/${file}`, place.file(`src/${file}`))
    const [called] = call.split('(')
    const script = `import { ${called} } from './src/${module}'; try { ${call}; console.log('none') } catch (error) { console.log(error.message) }`
    writeFileSync(place.file('run.ts'), script)
    return execFileSync(process.execPath, ['run.ts'], { cwd: place.path, encoding: 'utf8' }).trim()
  }

  test('without the official package says what to install', () => {
    using place = folder()
    expect(thrownIn(place)).toBe(`${name} needs the official package: ${install}`)
  })

  test('with one that lacks a package of its own says which', () => {
    using place = folder()
    mkdirSync(place.file('node_modules/twilio'), { recursive: true })
    writeFileSync(place.file('node_modules/twilio/index.js'), "require('absent')")
    expect(thrownIn(place)).toMatch(/^Cannot find module 'absent'/)
  })
})
