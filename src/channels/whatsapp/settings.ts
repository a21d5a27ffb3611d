import { isJsonObject, parseJsonObject } from '../../json.ts'
import { baseUrlProblem, withoutSlash } from '../base-url.ts'
import {
  flagSetting,
  optional,
  type Setting,
  secretSetting,
  textSetting,
  urlSetting,
  type ValuesOf,
  wordSetting,
} from '../settings.ts'
import { templateProblem } from './templates.ts'

const token = { max: 1024, pattern: /^[\x21-\x7e]+$/, words: 'made of printable ASCII characters, without spaces' }

/** The text of a JSON object, without line breaks; it may be given as an object, too. */
function jsonSetting(description: string, max: number): Setting<string> {
  const inner = textSetting({ description, max })
  return {
    ...inner,
    parse(given) {
      const parsed = typeof given === 'string' ? parseJsonObject(given) : given
      return inner.parse(isJsonObject(parsed) ? JSON.stringify(parsed) : given)
    },
  }
}

export const settings = {
  phone_number_id: textSetting({
    description: 'Id that Meta has given the number; not the number itself',
    max: 32,
    pattern: /^\d+$/,
    words: 'made of digits',
  }),
  access_token: secretSetting({ description: 'Token of a system user who may send for the number', ...token }),
  app_secret: secretSetting({ description: "Secret of Meta's app: it proves webhooks", ...token }),
  verify_token: secretSetting({ description: "What is entered as verify token beside the webhook's URL", ...token }),
  media: optional(
    wordSetting({
      description: 'Whether Meta fetches media by a link, for which Parley must be reachable, or they are uploaded to it',
      words: ['link', 'upload'],
    }),
    'link',
  ),
  read_marks: optional(flagSetting({ description: 'Whether the sender sees that their message has been read' }), true),
  templates: optional(
    jsonSetting('JSON object: which template stands for which `ContentSid`, and where its variables go', 32 * 1024),
  ),
  base_url: optional(urlSetting({ description: 'Where the Graph API is found' }), 'https://graph.facebook.com'),
  api_version: optional(
    textSetting({ description: 'Version of the Graph API', max: 8, pattern: /^v\d{1,3}\.\d{1,2}$/, words: 'like v25.0' }),
    'v25.0',
  ),
}

export type WhatsAppSettings = ValuesOf<typeof settings>

/** Returns what is wrong with settings that are right one by one. */
export function problem({ base_url, templates }: WhatsAppSettings): string | undefined {
  return baseUrlProblem(base_url) ?? (templates === null ? undefined : templateProblem(templates))
}

/** Returns the URL of an object of the Graph API. */
export function graphUrl({ base_url, api_version }: WhatsAppSettings, ...path: readonly string[]): string {
  return `${withoutSlash(base_url)}/${[api_version, ...path.map(encodeURIComponent)].join('/')}`
}

/** Returns the value of the Authorization header. */
export function bearer({ access_token }: WhatsAppSettings): string {
  return `Bearer ${access_token}`
}
