import twilio from 'twilio'

const official = 'https://conversations.twilio.com'

export const url = process.env.PARLEY_URL ?? 'http://127.0.0.1:8080'
export const accountSid = setting('PARLEY_ACCOUNT_SID')
export const authToken = setting('PARLEY_AUTH_TOKEN')

/** The official SDK, with the beginning of every URL replaced. */
export function connect(): twilio.Twilio {
  const httpClient = new twilio.RequestClient()
  httpClient.axios.interceptors.request.use((config) => {
    config.url = (config.url ?? '').replace(official, url)
    return config
  })
  return twilio(accountSid, authToken, { httpClient })
}

/** Calls the admin API. Returns the response whatever its status. */
export async function admin(method: 'PUT' | 'POST', path: string, body: object): Promise<Response> {
  return fetch(`${url}/admin/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${setting('PARLEY_ADMIN_TOKEN')}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

function setting(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`set ${name}`)
  return value
}
