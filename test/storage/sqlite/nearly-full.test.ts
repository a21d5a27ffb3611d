import { expect, test } from 'vitest'
import { folder, serve } from '../../support/process.ts'
import { hasSmallDisks, smallDisk } from '../../support/small-disk.ts'

const account_sid = `AC${'d'.repeat(32)}`
const token = 'aTokenOfTheSmallDisk'
const authorization = `Basic ${btoa(`${account_sid}:${token}`)}`

test.runIf(hasSmallDisks || process.env.CI)(
  'a server whose disk is nearly full is not ready, though small writes succeed',
  async () => {
    await using disk = await smallDisk(32_000_000)
    using media = folder()
    const env = {
      PARLEY_DATABASE_URL: `sqlite:${disk.path}/parley.db`,
      PARLEY_DATA_DIR: media.path,
      PARLEY_ACCOUNT_SID: account_sid,
      PARLEY_AUTH_TOKEN: token,
    }
    await using server = await serve({ env, program: disk.program })
    const status = async (path: string, init: RequestInit = {}) => {
      const response = await fetch(server.url + path, { headers: { authorization }, ...init })
      await response.arrayBuffer()
      return response.status
    }
    const made = (attributes = '{}') =>
      status('/v1/Conversations', { method: 'POST', body: new URLSearchParams({ Attributes: attributes }) })

    disk.fill(10_000_000)
    expect([await status('/readyz'), await made()]).toEqual([200, 201])
    disk.free()
    disk.fill(4_000_000)
    expect([await status('/readyz'), await made()]).toEqual([503, 201])
    expect(await status('/healthz')).toBe(200)
    disk.free()
    expect(await status('/readyz')).toBe(200)

    disk.fill(0)
    const large = JSON.stringify({ text: 'x'.repeat(16_000) })
    let last = 201
    for (let n = 0; n < 2000 && last === 201; n++) last = await made(large)
    expect([last, await status('/readyz'), await status('/v1/Conversations')]).toEqual([503, 503, 200])
    disk.free()
    // The last trial of a write is a second old at most.
    await expect.poll(() => status('/readyz')).toBe(200)
    expect(await made(large)).toBe(201)
  },
)
