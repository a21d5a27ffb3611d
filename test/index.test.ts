import { expect, test } from 'vitest'
import { Parley } from '../src/index.ts'

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
