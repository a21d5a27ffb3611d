import twilio from 'twilio'

const official = 'https://conversations.twilio.com'

export const url = process.env.PARLEY_URL ?? 'http://127.0.0.1:8080'
export const authToken = setting('PARLEY_AUTH_TOKEN')

/** The official SDK, with the beginning of every URL replaced. */
export function connect(): twilio.Twilio {
  const httpClient = new twilio.RequestClient()
  httpClient.axios.interceptors.request.use((config) => {
    config.url = (config.url ?? '').replace(official, url)
    return config
  })
  return twilio(setting('PARLEY_ACCOUNT_SID'), authToken, { httpClient })
}

/** Moves the server's clock. Returns when everything that was due has been applied. */
export async function advance(duration: string): Promise<void> {
  const response = await fetch(`${url}/admin/v1/clock`, {
    method: 'POST',
    headers: { authorization: `Bearer ${setting('PARLEY_ADMIN_TOKEN')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ advance: duration }),
  })
  if (!response.ok) throw new Error(`the clock was not moved: ${response.status} ${await response.text()}`)
}

function setting(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`set ${name}`)
  return value
}
