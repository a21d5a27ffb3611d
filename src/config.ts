import { dirname, join, parse } from 'node:path'

/** A setting: an environment variable, and the flag of the same name without `PARLEY_`. */
export interface Setting {
  readonly env: string
  readonly flag: string
  /** In words where it is not a plain value. */
  readonly standard: string
  readonly meaning: string
}

export const settings = [
  { env: 'PORT', flag: 'port', standard: '8080', meaning: 'port to listen on' },
  { env: 'HOST', flag: 'host', standard: '127.0.0.1', meaning: 'address to listen on' },
  {
    env: 'PARLEY_DATABASE_URL',
    flag: 'database-url',
    standard: 'sqlite:./data/parley.db',
    meaning: 'where everything is kept: sqlite:<file>, sqlite::memory: (gone at the end) or postgres://…',
  },
  {
    env: 'PARLEY_DATA_DIR',
    flag: 'data-dir',
    standard: "the SQLite file's folder, else ./data",
    meaning: 'folder of uploaded files and of secrets made at first start; several nodes share one',
  },
  { env: 'PARLEY_ACCOUNT_SID', flag: 'account-sid', standard: 'made at first start', meaning: 'sid of the first account' },
  { env: 'PARLEY_AUTH_TOKEN', flag: 'auth-token', standard: 'made at first start', meaning: 'auth token of the first account' },
  {
    env: 'PARLEY_PUBLIC_URL',
    flag: 'public-url',
    standard: "from the request's Host",
    meaning: 'base of every url in an answer, without /v1',
  },
  {
    env: 'PARLEY_SECRET_KEY',
    flag: 'secret-key',
    standard: 'made at first start, kept in PARLEY_DATA_DIR',
    meaning: '64 hex digits that encrypt auth tokens and API key secrets at rest',
  },
  {
    env: 'PARLEY_ADMIN_TOKEN',
    flag: 'admin-token',
    standard: 'made at first start, kept in PARLEY_DATA_DIR',
    meaning: 'operator token for /admin/v1',
  },
  {
    env: 'PARLEY_WEBHOOK_ALLOW_PRIVATE',
    flag: 'webhook-allow-private',
    standard: 'true when listening on loopback, else false',
    meaning: 'whether webhooks may go to private, loopback and link-local addresses',
  },
  {
    env: 'PARLEY_WEBHOOK_VERIFY_TLS',
    flag: 'webhook-verify-tls',
    standard: 'true',
    meaning: 'whether certificates of webhook endpoints must be valid',
  },
  {
    env: 'PARLEY_WEBHOOK_RETRIES',
    flag: 'webhook-retries',
    standard: '0',
    meaning: 'further tries after a timeout or 429, 503, 504 (0 to 3); 0 is what Twilio does',
  },
  {
    env: 'PARLEY_DELIVERY_LOG_DAYS',
    flag: 'delivery-log-days',
    standard: '7',
    meaning: 'how long finished deliveries stay in the log',
  },
  {
    env: 'PARLEY_MEDIA_MAX_BYTES',
    flag: 'media-max-bytes',
    standard: '157286400 (150 MiB)',
    meaning: 'how large an uploaded file may be',
  },
  {
    env: 'PARLEY_TEST_CLOCK',
    flag: 'test-clock',
    standard: 'false',
    meaning: 'whether /admin/v1/clock may move the time; for development and CI',
  },
  { env: 'PARLEY_LOG_LEVEL', flag: 'log-level', standard: 'info', meaning: 'trace, debug, info, warn, error or silent' },
] as const satisfies readonly Setting[]

export type SettingName = (typeof settings)[number]['env']
/** Texts as given by flags and environment. */
export type Given = Readonly<Partial<Record<SettingName, string>>>

/** `file`: a path, or `:memory:`. */
export type DatabasePlace =
  | { readonly engine: 'sqlite'; readonly file: string }
  | { readonly engine: 'postgres'; readonly url: string }

export interface Config {
  readonly port: number
  readonly host: string
  readonly database: DatabasePlace
  readonly data_dir: string | null
  readonly account_sid: string | null
  readonly auth_token: string | null
  readonly public_url: string | null
  readonly secret_key: string | null
  readonly admin_token: string | null
  readonly webhook_allow_private: boolean
  readonly webhook_verify_tls: boolean
  readonly webhook_retries: number
  readonly delivery_log_days: number
  readonly media_max_bytes: number
  readonly test_clock: boolean
  readonly log_level: string
}

/** A setting that a person has to correct: the message says which and how. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'PARLEY_CONFIG'
}

/** Reads every setting once. Throws ConfigError. */
export function readConfig(given: Given): Config {
  const host = given.HOST || '127.0.0.1'
  return {
    port: integer(given, 'PORT', 8080, 0, 65_535),
    host,
    database: databasePlace(given.PARLEY_DATABASE_URL || 'sqlite:./data/parley.db', 'PARLEY_DATABASE_URL'),
    data_dir: given.PARLEY_DATA_DIR || null,
    account_sid: matching(given, 'PARLEY_ACCOUNT_SID', /^AC[0-9a-f]{32}$/, 'AC and 32 lower-case hex digits'),
    auth_token: matching(given, 'PARLEY_AUTH_TOKEN', /^[\x21-\x7e]{8,256}$/, '8 to 256 printable characters without spaces'),
    public_url: publicUrl(given.PARLEY_PUBLIC_URL),
    secret_key: matching(
      given,
      'PARLEY_SECRET_KEY',
      /^[0-9a-fA-F]{64}$/,
      '64 hex digits, for example from: openssl rand -hex 32',
    ),
    admin_token: matching(given, 'PARLEY_ADMIN_TOKEN', /^[\x21-\x7e]{16,256}$/, '16 to 256 printable characters without spaces'),
    webhook_allow_private: flag(given, 'PARLEY_WEBHOOK_ALLOW_PRIVATE', isLoopback(host)),
    webhook_verify_tls: flag(given, 'PARLEY_WEBHOOK_VERIFY_TLS', true),
    webhook_retries: integer(given, 'PARLEY_WEBHOOK_RETRIES', 0, 0, 3),
    delivery_log_days: integer(given, 'PARLEY_DELIVERY_LOG_DAYS', 7, 0, 3650),
    media_max_bytes: integer(given, 'PARLEY_MEDIA_MAX_BYTES', 150 * 1024 * 1024, 1, Number.MAX_SAFE_INTEGER),
    test_clock: flag(given, 'PARLEY_TEST_CLOCK', false),
    log_level:
      matching(
        given,
        'PARLEY_LOG_LEVEL',
        /^(trace|debug|info|warn|error|silent)$/,
        'trace, debug, info, warn, error or silent',
      ) ?? 'info',
  }
}

/** Where a secret made at first start is kept. Null for a database in memory. */
export function secretFile(config: Pick<Config, 'database' | 'data_dir'>, kind: 'key' | 'admin-token'): string | null {
  return keptAs(config, kind)
}

/** Where uploaded files are kept. Null for a database in memory. */
export function mediaFolder(config: Pick<Config, 'database' | 'data_dir'>): string | null {
  return keptAs(config, 'media')
}

/** Named after the database, in its folder unless another one is given. */
function keptAs({ database, data_dir }: Pick<Config, 'database' | 'data_dir'>, kind: string): string | null {
  if (database.engine === 'postgres') return join(data_dir ?? 'data', `parley.${kind}`)
  if (database.file === ':memory:') return null
  return join(data_dir ?? dirname(database.file), `${parse(database.file).name}.${kind}`)
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}

/** Throws ConfigError, which names the setting or argument `name`. */
export function databasePlace(url: string, name: string): DatabasePlace {
  const file = /^sqlite:(.+)$/.exec(url)?.[1]
  if (file && !file.startsWith('//')) return { engine: 'sqlite', file }
  if (/^postgres(ql)?:\/\//i.test(url) && URL.canParse(url)) return { engine: 'postgres', url }
  throw new ConfigError(`${name} must be sqlite:<file>, sqlite::memory: or postgres://…, not ${withoutPassword(url)}`)
}

/** A database as it may be shown: without password, and without parameters, which may hold one. */
export function shownPlace(place: DatabasePlace): string {
  if (place.engine === 'sqlite') return `sqlite:${place.file}`
  if (!URL.canParse(place.url)) return 'the database'
  const { protocol, username, host, pathname } = new URL(place.url)
  return `${protocol}//${username && `${username}@`}${host}${pathname}`
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//…@')
}

function publicUrl(given: string | undefined): string | null {
  if (!given) return null
  const url = URL.canParse(given) ? new URL(given) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash) {
    throw new ConfigError(`PARLEY_PUBLIC_URL must be an http(s) URL without query, not ${given}`)
  }
  return given.replace(/\/+$/, '').replace(/\/v1$/, '')
}

function integer(given: Given, name: SettingName, standard: number, min: number, max: number): number {
  const text = given[name]
  if (!text) return standard
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new ConfigError(`${name} must be a whole number from ${min} to ${max}, not ${text}`)
  }
  return value
}

function flag(given: Given, name: SettingName, standard: boolean): boolean {
  const text = given[name]?.toLowerCase()
  if (!text) return standard
  if (['1', 'true', 'yes', 'on'].includes(text)) return true
  if (['0', 'false', 'no', 'off'].includes(text)) return false
  throw new ConfigError(`${name} must be true or false, not ${given[name]}`)
}

function matching(given: Given, name: SettingName, pattern: RegExp, form: string): string | null {
  const text = given[name]
  if (!text) return null
  // The value is not shown: it may be a secret.
  if (!pattern.test(text)) throw new ConfigError(`${name} must be ${form}`)
  return text
}
