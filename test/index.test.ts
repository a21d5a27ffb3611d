import { afterEach, expect, test } from 'vitest'
import { Parley } from '../src/index.ts'
import { startParley } from '../src/testing.ts'

const { versions } = process
afterEach(() => {
  Object.defineProperty(process, 'versions', { value: versions })
})

test('a server is started in this process, and is gone at the end of the block', async () => {
  let url: string
  {
    await using parley = await Parley.start({
      PORT: '0',
      PARLEY_DATABASE_URL: 'sqlite::memory:',
      PARLEY_LOG_LEVEL: 'silent',
    })
    url = parley.url
    const { sid, authToken } = parley.account
    const authorization = `Basic ${Buffer.from(`${sid}:${authToken}`).toString('base64')}`
    const response = await fetch(`${url}/v1/Configuration`, { headers: { authorization } })
    expect(await response.json()).toMatchObject({ account_sid: sid })
    const accounts = await fetch(`${url}/admin/v1/accounts`, { headers: { authorization: `Bearer ${parley.adminToken}` } })
    expect(await accounts.json()).toMatchObject({ accounts: [{ sid }] })
  }
  await expect(fetch(`${url}/healthz`)).rejects.toThrow()
})

test('a wrong setting is refused with a sentence', async () => {
  await expect(Parley.start({ PORT: 'http' })).rejects.toThrow('PORT must be a whole number from 0 to 65535, not http')
})

test('a setting that there is not is refused with the nearest name, by every entry', async () => {
  const settings = { PARLEY_WEBHOK_RETRIES: '2' } as object
  const refusal = {
    code: 'PARLEY_CONFIG',
    message: expect.stringMatching(/^PARLEY_WEBHOK_RETRIES .* PARLEY_WEBHOOK_RETRIES may/),
  }
  await expect(Parley.start(settings)).rejects.toMatchObject(refusal)
  await expect(startParley({ settings })).rejects.toMatchObject(refusal)
  await expect(startParley({ settings, child: true })).rejects.toMatchObject(refusal)
})

test.each(['20.20.2', '22.20.9'])('Node %s is refused with a sentence, by every entry', async (node) => {
  Object.defineProperty(process, 'versions', { value: { ...versions, node } })
  const refusal = {
    code: 'PARLEY_CONFIG',
    message: `this is Node ${node} (${process.execPath}), and Parley needs Node 22.21 or later`,
  }
  await expect(Parley.start()).rejects.toMatchObject(refusal)
  await expect(startParley()).rejects.toMatchObject(refusal)
  await expect(startParley({ child: true })).rejects.toMatchObject(refusal)
})
