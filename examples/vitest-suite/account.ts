import twilio from 'twilio'
import { test as base, inject } from 'vitest'

const official = 'https://conversations.twilio.com'

interface Fixtures {
  /** The official SDK, signed in to an account of its own. */
  client: twilio.Twilio
  /** Moves the server's clock. */
  advance(duration: string): Promise<void>
}

export const test = base.extend<Fixtures>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from it which fixtures this one needs
  client: async ({}, use) => {
    const { sid, auth_token } = (await admin('/accounts', { friendly_name: 'A test' })) as { sid: string; auth_token: string }
    await use(connect(inject('parley').url, sid, auth_token))
  },

  // biome-ignore lint/correctness/noEmptyPattern: see above
  advance: async ({}, use) => {
    await use(async (duration) => void (await admin('/clock', { advance: duration })))
  },
})

function connect(url: string, accountSid: string, authToken: string): twilio.Twilio {
  const httpClient = new twilio.RequestClient()
  httpClient.axios.interceptors.request.use((config) => {
    config.url = (config.url ?? '').replace(official, url)
    return config
  })
  return twilio(accountSid, authToken, { httpClient })
}

async function admin(path: string, body: object): Promise<unknown> {
  const { url, adminToken } = inject('parley')
  const response = await fetch(`${url}/admin/v1${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`)
  return response.json()
}
