import { baseUrlProblem, withoutSlash } from '../base-url.ts'
import { optional, secretSetting, textSetting, urlSetting, type ValuesOf, wordSetting } from '../settings.ts'

const token = { max: 256, pattern: /^[\x21-\x7e]+$/, words: 'made of printable ASCII characters, without spaces' }
const sid = { max: 64, pattern: /^[\w-]+$/, words: 'made of letters, digits, hyphens and underscores' }

export const settings = {
  account_sid: textSetting({ description: "SID of the carrier's account that has the number", ...sid }),
  auth_token: secretSetting({
    description: 'Auth token of that account: it proves webhooks, and is the password unless there is an API key',
    ...token,
  }),
  api_key_sid: optional(textSetting({ description: 'SID of an API key to send with, in place of the auth token', ...sid })),
  api_key_secret: optional(secretSetting({ description: 'Secret of that API key', ...token })),
  messaging_service_sid: optional(textSetting({ description: 'Messaging service to send by, besides the number', ...sid })),
  base_url: optional(
    urlSetting({ description: 'Where `/2010-04-01/Accounts/…` is found: another region, or a carrier with the same API' }),
    'https://api.twilio.com',
  ),
  templates: optional(
    wordSetting({
      description: 'Whether messages with a `ContentSid` are sent with it, or as their text: for carriers without templates',
      words: ['sid', 'text'],
    }),
    'sid',
  ),
}

export type TwilioSettings = ValuesOf<typeof settings>

/** Returns what is wrong with settings that are right one by one. */
export function problem({ api_key_sid, api_key_secret, base_url }: TwilioSettings): string | undefined {
  if ((api_key_sid === null) !== (api_key_secret === null)) return 'api_key_sid and api_key_secret go together'
  return baseUrlProblem(base_url)
}

/** Returns the URL of a resource of the account, such as `Messages.json`; of the account itself without one. */
export function accountUrl({ base_url, account_sid }: TwilioSettings, resource?: string): string {
  const account = `${withoutSlash(base_url)}/2010-04-01/Accounts/${encodeURIComponent(account_sid)}`
  return resource === undefined ? `${account}.json` : `${account}/${resource}`
}

/** Returns the value of the Authorization header. */
export function basicAuth({ account_sid, auth_token, api_key_sid, api_key_secret }: TwilioSettings): string {
  const credentials = `${api_key_sid ?? account_sid}:${api_key_secret ?? auth_token}`
  return `Basic ${Buffer.from(credentials).toString('base64')}`
}
