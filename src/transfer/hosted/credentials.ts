import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { ConfigError } from '../../config-error.ts'
import { codeOf } from '../../errors.ts'

/** With what a hosted account is read. */
export interface HostedCredentials {
  readonly username: string
  readonly password: string
}

/**
 * Returns the credentials of the variables: TWILIO_API_KEY with TWILIO_API_SECRET if they are set, otherwise TWILIO_ACCOUNT_SID with
 * TWILIO_AUTH_TOKEN. `file`: has them as lines NAME=value; null for the environment. Throws ConfigError, which has none of the values.
 */
export function hostedCredentials(environment: NodeJS.ProcessEnv, file: string | null): HostedCredentials {
  const variables = file === null ? environment : variablesOf(file)
  return credentialsIn(variables, file)
}

/** As `hostedCredentials`, with what else of the account is known: its SID, and the token by which its webhooks are signed. */
export function hostedAccount(
  environment: NodeJS.ProcessEnv,
  file: string | null,
): HostedCredentials & { readonly account_sid: string | null; readonly auth_token: string | null } {
  const variables = file === null ? environment : variablesOf(file)
  const given = credentialsIn(variables, file)
  const sid = variables.TWILIO_ACCOUNT_SID?.trim()
  if (sid && !/^AC[0-9a-f]{32}$/i.test(sid)) throw new ConfigError('TWILIO_ACCOUNT_SID is not AC and 32 hex digits')
  return { ...given, account_sid: sid || null, auth_token: variables.TWILIO_AUTH_TOKEN?.trim() || null }
}

function credentialsIn(variables: NodeJS.Dict<string>, file: string | null): HostedCredentials {
  const from = file ?? 'the environment'
  const key = variables.TWILIO_API_KEY?.trim()
  const [name, secretName] = key ? ['TWILIO_API_KEY', 'TWILIO_API_SECRET'] : ['TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN']
  const username = variables[name]?.trim()
  const password = variables[secretName]?.trim()
  if (!username || !password) {
    throw new ConfigError(
      `${from} has no ${username ? secretName : name}: it needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or a key`,
    )
  }
  const prefix = key ? 'SK' : 'AC'
  if (!new RegExp(`^${prefix}[0-9a-f]{32}$`, 'i').test(username)) {
    throw new ConfigError(`${name} of ${from} is not ${prefix} and 32 hex digits`)
  }
  return { username, password }
}

function variablesOf(file: string): NodeJS.Dict<string> {
  try {
    return parseEnv(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new ConfigError(`${file} cannot be read (${codeOf(error) ?? 'no reason given'})`, { cause: error })
  }
}

const conversationsHost = /^conversations(?:\.[\w-]+)?(?:\.([\w-]+))?\.twilio\.com$/i

/** Returns where the files of an account are: the vendor's media host of the same region, or the same server where it is none of the vendor's. */
export function mediaUrlOf(url: string): string {
  const { hostname, origin } = new URL(url)
  const match = conversationsHost.exec(hostname)
  // `conversations.<edge>.<region>.twilio.com`; of one label alone the vendor says that it is the region.
  const region = match?.[1] ?? (hostname.split('.').length === 4 ? hostname.split('.')[1] : undefined) ?? 'us1'
  return match ? `https://mcs.${region}.twilio.com` : origin
}
