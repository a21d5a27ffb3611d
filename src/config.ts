import { isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, parse } from 'node:path'
import ipaddr from 'ipaddr.js'
import { type BucketLocation, parseBucketUrl } from './bucket-url.ts'
import { type GroupRole, groupRolesOf } from './operator-roles.ts'
import { readSecretFile } from './secret-file.ts'
import { secretForm } from './sids.ts'
import { isVendorHost } from './urls.ts'

/** `file`: a path, or `:memory:`. */
export type DatabaseLocation =
  | { readonly engine: 'sqlite'; readonly file: string }
  | { readonly engine: 'postgres'; readonly url: string }

/** A setting has a wrong value or does not fit its surroundings. The message names the setting and the remedy. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'PARLEY_CONFIG'
  /** The message: a sentence, and perhaps a line for each of several mistakes. */
  readonly lines: readonly string[]

  constructor(sentence: string, { mistakes = [], ...options }: ErrorOptions & { readonly mistakes?: readonly string[] } = {}) {
    const lines = [sentence, ...mistakes.map((mistake) => `  ${mistake}`)]
    super(lines.join('\n'), options)
    this.lines = lines
  }
}

/** A setting as the command line and the documentation show it. */
export interface Setting {
  readonly env: string
  /** The environment variable in lower case, with hyphens and without `PARLEY_`. */
  readonly flag: string
  readonly description: string
  /** As text; in words where it is not a constant. */
  readonly default: string
  /** Whether it is true or false: its flag takes no value, and `--no-<flag>` is false. */
  readonly isSwitch: boolean
}

/** Throws ConfigError when `text` is not a value of the setting `env`. */
type Parse<T> = (text: string, env: string) => T

/** What one entry declares: `T` is the type of a given value, `D` that of a default which is not a constant. */
interface Declaration<Env, T, D> {
  readonly env: Env
  readonly description: string
  /** A text that `parse` accepts, or a description and a function of `HOST`, the only setting that another one depends on. */
  readonly default: string | { readonly words: string; readonly value: (host: string) => D }
  readonly parse: Parse<T>
}

interface Declared<Env extends string, V> extends Setting {
  readonly env: Env
  /** Returns the value of the text that is given, or the default when it is empty or absent. Throws ConfigError. */
  readonly read: (given: Given, host: string) => V
}

/** A setting that may be given as a file, too. */
interface Secret<Env extends string, V> extends Declared<Env, V> {
  readonly file: Setting & { readonly env: `${Env}_FILE` }
}

/** Texts, by environment variable. */
type Given = Readonly<Record<string, string | undefined>>

/** Every setting. Parsing, command-line flags, help and documentation follow from the entry. */
const declarations = {
  port: declare({ env: 'PORT', description: 'port to listen on', default: '8080', parse: integer(0, 65_535) }),
  host: declare({ env: 'HOST', description: 'address to listen on', default: '127.0.0.1', parse: anyText }),
  database: secret({
    env: 'PARLEY_DATABASE_URL',
    description: 'the database: sqlite:<file>, postgres://… or sqlite::memory: (lost when the server stops)',
    default: 'sqlite:./data/parley.db',
    parse: parseDatabaseUrl,
  }),
  dataDir: declare({
    env: 'PARLEY_DATA_DIR',
    description: 'folder of the uploaded files and the generated secrets; several nodes share one',
    default: { words: 'the folder of the SQLite file; ./data with PostgreSQL', value: none },
    parse: anyText,
  }),
  maxConnections: declare({
    env: 'PARLEY_MAX_CONNECTIONS',
    description: 'connections open at the same time; further ones are closed at once',
    default: { words: '10000, or fewer if the system limits open files', value: none },
    parse: integer(1, 1_000_000),
  }),
  maxConnectionsPerAddress: declare({
    env: 'PARLEY_MAX_CONNECTIONS_PER_ADDRESS',
    description:
      'connections of one address open at the same time; further ones are closed at once; not for PARLEY_TRUSTED_PROXIES and this machine; 0 for no limit',
    default: '500',
    parse: integer(0, 1_000_000),
  }),
  readWorkers: declare({
    env: 'PARLEY_READ_WORKERS',
    description: 'threads that read pages beside the main one, on further cores; for SQLite',
    default: '0',
    parse: integer(0, 16),
  }),
  maxWaitingWrites: declare({
    env: 'PARLEY_MAX_WAITING_WRITES',
    description:
      'writes that wait for the database before further ones of the account that has most of them are 503; 0 for no limit',
    default: '5000',
    parse: integer(0, 1_000_000),
  }),
  maxFailedLogins: declare({
    env: 'PARLEY_MAX_FAILED_LOGINS',
    description:
      'failed logins from one address before further ones are 429 for a while; four times as many for one account; 0 for no limit',
    default: '30',
    parse: integer(0, 1_000_000),
  }),
  maxConcurrentRequests: declare({
    env: 'PARLEY_MAX_CONCURRENT_REQUESTS',
    description:
      'requests of an account in progress at the same time before further ones are 429; half for an API key; 0 for no limit',
    default: '100',
    parse: integer(0, 1_000_000),
  }),
  maxRequestsPerSecond: declare({
    env: 'PARLEY_MAX_REQUESTS_PER_SECOND',
    description:
      'requests of an account per second before further ones are 429; each 64 KiB of a response count as one; 0 for no limit',
    default: '0',
    parse: integer(0, 1_000_000),
  }),
  maxActionsPerSecond: declare({
    env: 'PARLEY_MAX_ACTIONS_PER_SECOND',
    description:
      'changes per second of a service (its conversations, users and roles), and of a conversation, before further ones are 429; Twilio has 30; 0 for no limit',
    default: '0',
    parse: integer(0, 1_000_000),
  }),
  maxAccountActionsPerSecond: declare({
    env: 'PARLEY_MAX_ACCOUNT_ACTIONS_PER_SECOND',
    description: 'the same for all changes of an account together; 0 for no limit',
    default: '0',
    parse: integer(0, 1_000_000),
  }),
  account_sid: declare({
    env: 'PARLEY_ACCOUNT_SID',
    description: 'SID of the first account',
    default: { words: 'generated at first start', value: none },
    parse: matching(/^AC[0-9a-f]{32}$/, 'AC and 32 lower-case hex digits'),
  }),
  auth_token: secret({
    env: 'PARLEY_AUTH_TOKEN',
    description: 'auth token of the first account',
    default: { words: 'generated at first start', value: none },
    parse: matching(secretForm.pattern, secretForm.words),
  }),
  publicUrl: declare({
    env: 'PARLEY_PUBLIC_URL',
    description: 'base of the URLs in responses, without /v1',
    default: { words: 'from the Host header of the request', value: none },
    parse: publicUrl,
  }),
  allowedHosts: declare({
    env: 'PARLEY_ALLOWED_HOSTS',
    description:
      'further names in the Host header, separated by commas; checked if HOST is a loopback address, or this or PARLEY_PUBLIC_URL is set',
    default: { words: 'localhost, HOST, the host of PARLEY_PUBLIC_URL; any IP address', value: () => [] },
    parse: hostNames,
  }),
  trustedProxies: declare({
    env: 'PARLEY_TRUSTED_PROXIES',
    description:
      'addresses or networks, separated by commas, of the proxies whose X-Forwarded-Proto, X-Forwarded-Host and X-Forwarded-For count',
    default: { words: 'none', value: () => [] },
    parse: networks,
  }),
  gatewayPort: declare({
    env: 'PARLEY_GATEWAY_PORT',
    description: 'port, on 127.0.0.1, of the proxy for unchanged programs (parley env)',
    default: { words: 'any free port; opened when parley exec or parley env first asks for it', value: none },
    parse: integer(0, 65_535),
  }),
  gatewayTlsPort: declare({
    env: 'PARLEY_GATEWAY_TLS_PORT',
    description: 'port, on 127.0.0.1, that serves conversations.twilio.com and tsock.us1.twilio.com (client SDKs) with TLS',
    default: { words: 'any free port; opened together with the proxy', value: none },
    parse: integer(0, 65_535),
  }),
  gatewayAllow: declare({
    env: 'PARLEY_GATEWAY_ALLOW',
    description: 'hosts of twilio.com, separated by commas, which unchanged programs may reach through the proxy',
    default: { words: 'none: they are refused', value: () => [] },
    parse: vendorHosts,
  }),
  metricsToken: secret({
    env: 'PARLEY_METRICS_TOKEN',
    description: 'bearer token of /metrics',
    default: { words: 'none: anyone may read it', value: none },
    parse: matching(/^[\x21-\x7e]{16,256}$/, '16 to 256 printable characters without spaces'),
  }),
  metricsPort: declare({
    env: 'PARLEY_METRICS_PORT',
    description: 'port for /metrics alone; PORT has no /metrics then',
    default: { words: 'the same as PORT', value: none },
    parse: integer(0, 65_535),
  }),
  secretKey: secret({
    env: 'PARLEY_SECRET_KEY',
    description: '64 hex digits; encrypts auth tokens and API key secrets at rest',
    default: { words: 'generated at first start, stored in PARLEY_DATA_DIR', value: none },
    parse: matching(/^[0-9a-fA-F]{64}$/, '64 hex digits, for example from: openssl rand -hex 32'),
  }),
  previousSecretKey: secret({
    env: 'PARLEY_SECRET_KEY_PREVIOUS',
    description:
      'the secret key that PARLEY_SECRET_KEY takes the place of; opens what is still encrypted with it (parley rotate-key)',
    default: { words: 'what parley rotate-key --generate has stored in PARLEY_DATA_DIR, else none', value: none },
    parse: matching(/^[0-9a-fA-F]{64}$/, '64 hex digits'),
  }),
  adminToken: secret({
    env: 'PARLEY_ADMIN_TOKEN',
    description: 'operator token of /admin/v1',
    default: { words: 'generated at first start, stored in PARLEY_DATA_DIR', value: none },
    parse: matching(/^[\x21-\x7e]{16,256}$/, '16 to 256 printable characters without spaces'),
  }),
  openidIssuer: declare({
    env: 'PARLEY_OPENID_ISSUER',
    description: 'URL of the OpenID provider at which operators sign in to the console; https, or http on this machine',
    default: { words: 'none: they sign in with tokens', value: none },
    parse: issuer,
  }),
  openidClientId: declare({
    env: 'PARLEY_OPENID_CLIENT_ID',
    description: 'the client at the provider, whose redirect URI is …/admin/v1/session/openid/callback',
    default: { words: 'none', value: none },
    parse: anyText,
  }),
  openidClientSecret: secret({
    env: 'PARLEY_OPENID_CLIENT_SECRET',
    description: 'secret of that client',
    default: { words: 'none: a public client', value: none },
    parse: matching(/^[\x21-\x7e]{1,512}$/, 'up to 512 printable characters without spaces'),
  }),
  openidScope: declare({
    env: 'PARLEY_OPENID_SCOPE',
    description: 'what the provider is asked for; some have the groups in a scope of their own',
    default: 'openid profile email',
    parse: matching(/^openid( [\x21\x23-\x5b\x5d-\x7e]+)*$/, 'openid and other scopes, with one space between them'),
  }),
  openidGroupsClaim: declare({
    env: 'PARLEY_OPENID_GROUPS_CLAIM',
    description: 'the claim with the groups of whoever signs in',
    default: 'groups',
    parse: anyText,
  }),
  openidRoles: declare({
    env: 'PARLEY_OPENID_ROLES',
    description:
      'JSON: the role of each group, or its role, text and accounts; who is in several has the first, who is in none is refused',
    default: { words: 'none', value: none },
    parse: groupRoles,
  }),
  webhookAllowPrivate: declare({
    env: 'PARLEY_WEBHOOK_ALLOW_PRIVATE',
    description: 'whether webhooks may be sent to private, loopback and link-local addresses',
    default: { words: 'true if HOST is a loopback address, otherwise false', value: isLoopback },
    parse: trueOrFalse,
  }),
  webhookVerifyTls: declare({
    env: 'PARLEY_WEBHOOK_VERIFY_TLS',
    description: 'whether the certificates of webhook endpoints are verified',
    default: 'true',
    parse: trueOrFalse,
  }),
  webhookRetries: declare({
    env: 'PARLEY_WEBHOOK_RETRIES',
    description: 'retries after a timeout or a status of 429, 503 or 504 (0 to 3); Twilio makes none',
    default: '0',
    parse: integer(0, 3),
  }),
  studioUrl: declare({
    env: 'PARLEY_STUDIO_URL',
    description: 'base URL for webhooks with the target studio, in place of https://webhooks.twilio.com',
    default: { words: 'none: they are not sent', value: none },
    parse: publicUrl,
  }),
  fcmUrl: declare({
    env: 'PARLEY_FCM_URL',
    description: 'base URL of Firebase Cloud Messaging, for pushes',
    default: 'https://fcm.googleapis.com',
    parse: publicUrl,
  }),
  apnsUrl: declare({
    env: 'PARLEY_APNS_URL',
    description: 'base URL of the Apple Push Notification service; http://… is HTTP/2 without TLS',
    default: { words: 'https://api.push.apple.com; for a sandbox credential https://api.sandbox.push.apple.com', value: none },
    parse: publicUrl,
  }),
  deliveryLogDays: declare({
    env: 'PARLEY_DELIVERY_LOG_DAYS',
    description: 'days for which finished deliveries stay in the log',
    default: '7',
    parse: integer(0, 3650),
  }),
  auditLogDays: declare({
    env: 'PARLEY_AUDIT_LOG_DAYS',
    description: 'days for which entries stay in the audit log',
    default: '400',
    parse: integer(30, 36_500),
  }),
  deliveryMaxAgeHours: declare({
    env: 'PARLEY_DELIVERY_MAX_AGE_HOURS',
    description: 'hours after which a pending delivery is not attempted any more and has failed',
    default: '168',
    parse: integer(1, 87_600),
  }),
  clientHistoryDays: declare({
    env: 'PARLEY_CLIENT_HISTORY_DAYS',
    description: 'days for which a connected app may be offline and still learn what was removed meanwhile',
    default: '30',
    parse: integer(1, 3650),
  }),
  mediaMaxBytes: declare({
    env: 'PARLEY_MEDIA_MAX_BYTES',
    description: 'maximum size of an uploaded file, in bytes',
    // 150 MiB.
    default: '157286400',
    parse: integer(1, Number.MAX_SAFE_INTEGER),
  }),
  mediaQuotaBytes: declare({
    env: 'PARLEY_MEDIA_QUOTA_BYTES',
    description: 'maximum size of all uploaded files of an account together, in bytes',
    default: { words: 'none', value: none },
    parse: integer(1, Number.MAX_SAFE_INTEGER),
  }),
  mediaStore: declare({
    env: 'PARLEY_MEDIA_STORE',
    description: 'bucket for uploaded files, by the API of S3: s3://bucket/prefix?endpoint=https://…&region=…&style=path',
    default: { words: 'none: they are kept in PARLEY_DATA_DIR', value: none },
    parse: bucketUrl,
  }),
  mediaAccessKeyId: secret({
    env: 'PARLEY_MEDIA_ACCESS_KEY_ID',
    description: 'access key of PARLEY_MEDIA_STORE',
    default: { words: 'as the AWS SDKs find it: AWS_ACCESS_KEY_ID, shared files, the role of the machine', value: none },
    parse: matching(/^[\x21-\x7e]{1,256}$/, 'up to 256 printable characters without spaces'),
  }),
  mediaSecretAccessKey: secret({
    env: 'PARLEY_MEDIA_SECRET_ACCESS_KEY',
    description: 'secret of PARLEY_MEDIA_ACCESS_KEY_ID',
    default: { words: 'none', value: none },
    parse: matching(/^[\x21-\x7e]{1,256}$/, 'up to 256 printable characters without spaces'),
  }),
  mediaPreviousStore: declare({
    env: 'PARLEY_MEDIA_PREVIOUS_STORE',
    description:
      'bucket that uploaded files were kept in before; they are read from there too, until parley media move has moved them',
    default: { words: 'none; with PARLEY_MEDIA_STORE those in PARLEY_DATA_DIR are read too', value: none },
    parse: bucketUrl,
  }),
  mediaLinks: declare({
    env: 'PARLEY_MEDIA_LINKS',
    description: 'where temporary links of media lead: server, or store (signed URLs of PARLEY_MEDIA_STORE)',
    default: 'server',
    parse: wordOf('server', 'store'),
  }),
  mailRelay: secret({
    env: 'PARLEY_MAIL_RELAY',
    description: 'the mail server that sends mail: smtp://user:password@host:587 or smtps://user:password@host',
    default: { words: 'none: mail cannot be sent; in test mode it is caught', value: none },
    parse: mailUrl(/^smtps?:$/, 'smtp:// or smtps://'),
  }),
  mailListen: declare({
    env: 'PARLEY_MAIL_LISTEN',
    description: 'host:port on which mail is received by SMTP, or off',
    default: { words: 'off; in test mode 127.0.0.1:2525, or another port if that is taken', value: none },
    parse: listenAddress,
  }),
  mailTlsCert: declare({
    env: 'PARLEY_MAIL_TLS_CERT',
    description: 'PEM file with the certificate for STARTTLS of PARLEY_MAIL_LISTEN',
    default: { words: 'none: no STARTTLS', value: none },
    parse: anyText,
  }),
  mailTlsKey: declare({
    env: 'PARLEY_MAIL_TLS_KEY',
    description: 'PEM file with the key of PARLEY_MAIL_TLS_CERT',
    default: { words: 'none: no STARTTLS', value: none },
    parse: anyText,
  }),
  mailMaxBytes: declare({
    env: 'PARLEY_MAIL_MAX_BYTES',
    description: 'maximum size of a received mail, in bytes',
    // 20 MiB.
    default: '20971520',
    parse: integer(1024, 256 * 1024 * 1024),
  }),
  mailImap: secret({
    env: 'PARLEY_MAIL_IMAP',
    description: 'a mailbox whose unread mails are taken: imaps://user:password@host/INBOX',
    default: { words: 'none', value: none },
    parse: mailUrl(/^imaps?:$/, 'imap:// or imaps://'),
  }),
  mailAuth: declare({
    env: 'PARLEY_MAIL_AUTH',
    description:
      'SPF, DKIM and DMARC of received mail: off, mark (results in ChannelMetadata) or reject (also refuse forged mail)',
    default: 'off',
    parse: wordOf('off', 'mark', 'reject'),
  }),
  mailTrust: declare({
    env: 'PARLEY_MAIL_TRUST',
    description:
      'name of your own mail server in Authentication-Results: its results count in place of own checks, as do X-Spam-Flag and X-Spam-Status',
    default: { words: 'none', value: none },
    parse: matching(/^[A-Za-z0-9._-]{1,253}$/, 'the name of a mail server'),
  }),
  console: declare({
    env: 'PARLEY_CONSOLE',
    description: 'whether /console shows the installation to people, who sign in with the operator token',
    default: 'true',
    parse: trueOrFalse,
  }),
  search: declare({
    env: 'PARLEY_SEARCH',
    description: 'whether the operator can search names, addresses and texts; switched off, the index is deleted',
    default: 'true',
    parse: trueOrFalse,
  }),
  testClock: declare({
    env: 'PARLEY_TEST_CLOCK',
    description: 'whether /admin/v1/clock can move the time forward; for development and CI',
    default: 'false',
    parse: trueOrFalse,
  }),
  seed: declare({
    env: 'PARLEY_SEED',
    description: 'a JSON or YAML file with the accounts, conversations, … of a new database; in test mode, of each reset',
    default: { words: 'none: a new database has one account', value: none },
    parse: anyText,
  }),
  testMode: declare({
    env: 'PARLEY_TEST_MODE',
    description:
      'whether /admin/v1 can reset, snapshot and fault the server, and move its clock; only on a database that was made with it',
    default: 'false',
    parse: trueOrFalse,
  }),
  logLevel: declare({
    env: 'PARLEY_LOG_LEVEL',
    description: 'trace, debug, info, warn, error or silent',
    default: 'info',
    parse: matching(/^(trace|debug|info|warn|error|silent)$/, 'trace, debug, info, warn, error or silent'),
  }),
  traces: declare({
    env: 'PARLEY_TRACES',
    description: 'whether traces are sent by OTLP over HTTP; the variables OTEL_… of OpenTelemetry say where to',
    default: { words: 'true if OTEL_EXPORTER_OTLP_ENDPOINT is set', value: none },
    parse: trueOrFalse,
  }),
  logFormat: declare({
    env: 'PARLEY_LOG_FORMAT',
    description:
      'json: all that parley serve prints is JSON lines; text: its start and why it did not start are for people, its log is JSON lines',
    default: { words: 'text in a terminal, otherwise json', value: none },
    parse: wordOf('json', 'text'),
  }),
}

type Declarations = typeof declarations

type SecretDeclaration = Extract<Declarations[keyof Declarations], { readonly file: Setting }>

export type SettingName = Declarations[keyof Declarations]['env'] | SecretDeclaration['file']['env']
/** Settings as text, by environment variable. */
export type SettingTexts = Readonly<Partial<Record<SettingName, string>>>

export type Config = { readonly [Key in keyof Declarations]: ReturnType<Declarations[Key]['read']> }

/** In the order of the documentation. */
export const settings: readonly Setting[] = Object.values(declarations).flatMap((declared): Setting[] =>
  'file' in declared ? [declared, declared.file] : [declared],
)

/** Reads every setting once; an empty text counts as absent. Throws ConfigError. */
export function readConfig(texts: SettingTexts): Config {
  const host = declarations.host.read(texts, '')
  const values = Object.entries(declarations).map(([key, setting]) => [key, setting.read(texts, host)])
  // Each key has the value of its own entry, which the compiler does not follow through a list.
  const config = Object.fromEntries(values) as Config
  refuseHalfAProvider(config)
  return config
}

/** The settings of OpenID Connect mean something together only. */
function refuseHalfAProvider({ openidIssuer, openidClientId, openidRoles }: Config): void {
  const needed = { PARLEY_OPENID_ISSUER: openidIssuer, PARLEY_OPENID_CLIENT_ID: openidClientId, PARLEY_OPENID_ROLES: openidRoles }
  const missing = Object.entries(needed).flatMap(([env, value]) => (value === null ? [env] : []))
  if (missing.length === 0 || missing.length === Object.keys(needed).length) return
  throw new ConfigError(
    `${missing.join(' and ')} must be set, too: operators sign in by OpenID Connect with all of ${Object.keys(needed).join(', ')}`,
  )
}

function declare<const Env extends string, T, D = T>(declaration: Declaration<Env, T, D>): Declared<Env, T | D> {
  const { env, description, default: standard, parse } = declaration
  const constant = typeof standard === 'string'
  const parser: unknown = parse
  return {
    env,
    flag: flagOf(env),
    description,
    default: constant ? standard : standard.words,
    isSwitch: parser === trueOrFalse,
    read: (given, host) => {
      const text = given[env]
      if (text) return parse(text, env)
      return constant ? parse(standard, env) : standard.value(host)
    },
  }
}

/** Declares a setting that may instead be the content of a file, named by a variable with `_FILE` at its end. Errors show no value. */
function secret<const Env extends string, T, D = T>(declaration: Declaration<Env, T, D>): Secret<Env, T | D> {
  const { env, parse } = declaration
  const declared = declare(declaration)
  const fileEnv = `${env}_FILE` as const
  const file = {
    env: fileEnv,
    flag: flagOf(fileEnv),
    description: `file that contains the value of ${env} and nothing else`,
    default: 'none',
    isSwitch: false,
  }
  const read = (given: Given, host: string) => {
    const path = given[fileEnv]
    if (!path) return declared.read(given, host)
    if (given[env]) throw new ConfigError(`${env} and ${fileEnv} are both set: leave out one of them`)
    const found = readSecretFile(path)
    if ('problem' in found) throw new ConfigError(`${fileEnv}: ${path} ${found.problem}`)
    return parse(found.secret, `the content of ${path} (${fileEnv})`)
  }
  return { ...declared, file, read }
}

function flagOf(env: string): string {
  return env
    .replace(/^PARLEY_/, '')
    .toLowerCase()
    .replaceAll('_', '-')
}

/** Returns the file of a secret that is generated at first start; null for a database in memory. */
export function secretFile(
  config: Pick<Config, 'database' | 'dataDir'>,
  kind: 'key' | 'key-previous' | 'admin-token',
): string | null {
  return dataPath(config, kind)
}

/** Returns the folder of uploaded files; null for a database in memory. */
export function mediaFolder(config: Pick<Config, 'database' | 'dataDir'>): string | null {
  return dataPath(config, 'media')
}

/** Returns the folder into which `parley mirror` fetches files; null for a database in memory. */
export function mirrorFolder(config: Pick<Config, 'database' | 'dataDir'>): string | null {
  return dataPath(config, 'mirror')
}

/** Returns the file that lists erasures; null for a database in memory. */
export function ledgerFile(config: Pick<Config, 'database' | 'dataDir'>): string | null {
  return dataPath(config, 'erasures')
}

/** Returns the folder in which data are stored, which need not be there yet; that of temporary files for a database in memory. */
export function dataFolder(config: Pick<Config, 'database' | 'dataDir'>): string {
  const folder = mediaFolder(config)
  return folder === null ? tmpdir() : dirname(folder)
}

/** Returns the folder of the gateway's certificate authority; null for a database in memory. */
export function gatewayFolder(config: Pick<Config, 'database' | 'dataDir'>): string | null {
  return dataPath(config, 'gateway')
}

/** Returns the file that says where the server listens; null unless the database is a SQLite file. */
export function urlFile(config: Pick<Config, 'database' | 'dataDir'>): string | null {
  return config.database.engine === 'sqlite' ? dataPath(config, 'url') : null
}

/** Files are named after the database and lie in its folder unless PARLEY_DATA_DIR names another one. */
function dataPath({ database, dataDir }: Pick<Config, 'database' | 'dataDir'>, kind: string): string | null {
  if (database.engine === 'postgres') return join(dataDir ?? 'data', `parley.${kind}`)
  if (database.file === ':memory:') return null
  return join(dataDir ?? dirname(database.file), `${parse(database.file).name}.${kind}`)
}

/** Whether only programs on this machine reach what listens there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}

/** Parses a database URL. `name`: the setting or argument that holds it. Throws ConfigError. */
export function parseDatabaseUrl(url: string, name: string): DatabaseLocation {
  const file = /^sqlite:(.+)$/.exec(url)?.[1]
  if (file && !file.startsWith('//')) return { engine: 'sqlite', file }
  if (/^postgres(ql)?:\/\//i.test(url) && URL.canParse(url)) return { engine: 'postgres', url }
  // The value may contain a password, anywhere.
  const scheme = /^[a-z][a-z0-9+.-]{0,15}:\/\//i.exec(url)?.[0]
  throw new ConfigError(`${name} must be sqlite:<file>, sqlite::memory: or postgres://…${scheme ? `, not ${scheme}…` : ''}`)
}

/** Returns a database URL for messages: without password, and without parameters, which may contain one. */
export function databaseLabel(location: DatabaseLocation): string {
  if (location.engine === 'sqlite') return `sqlite:${location.file}`
  if (!URL.canParse(location.url)) return 'the database'
  const { protocol, username, host, pathname } = new URL(location.url)
  return `${protocol}//${username && `${username}@`}${host}${pathname}`
}

function none(): null {
  return null
}

function anyText(text: string): string {
  return text
}

function publicUrl(text: string, env: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash) {
    throw new ConfigError(`${env} must be an http(s) URL without query, not ${text}`)
  }
  return text.replace(/\/+$/, '').replace(/\/v1$/, '')
}

function issuer(text: string, env: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
  if (url && isSafe && !url.search && !url.hash && !url.username && !url.password) return text
  throw new ConfigError(`${env} must be an https URL without query, or one of http on this machine`)
}

function groupRoles(text: string, env: string): readonly GroupRole[] {
  const roles = groupRolesOf(text)
  if (typeof roles === 'string') throw new ConfigError(`${env} ${roles}`)
  return roles
}

function hostNames(text: string, env: string): string[] {
  const names = text.split(',').map((name) => name.trim().toLowerCase())
  if (names.every((name) => /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name))) return names
  throw new ConfigError(`${env} must be host names without ports, separated by commas, not ${text}`)
}

/** Any other host is none that the proxy would refuse. */
function vendorHosts(text: string, env: string): string[] {
  const names = hostNames(text, env)
  const other = names.find((name) => !isVendorHost(name))
  if (other === undefined) return names
  throw new ConfigError(`${env} must be hosts of twilio.com, not ${other}: the proxy refuses no others`)
}

function networks(text: string, env: string): string[] {
  const entries = text.split(',').map((entry) => entry.trim())
  const isNetwork = (entry: string) => isIP(entry) !== 0 || (isIP(entry.replace(/\/.*/, '')) !== 0 && ipaddr.isValidCIDR(entry))
  if (entries.every(isNetwork)) return entries
  throw new ConfigError(`${env} must be addresses or networks such as 10.0.0.0/8, separated by commas, not ${text}`)
}

/** The error does not show the value, which has a password. */
function mailUrl(protocols: RegExp, words: string): Parse<string> {
  return (text, env) => {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (url && protocols.test(url.protocol) && url.hostname !== '') return text
    throw new ConfigError(`${env} must be a URL with ${words} and a host`)
  }
}

function bucketUrl(text: string, env: string): BucketLocation {
  try {
    return parseBucketUrl(text)
  } catch (error) {
    throw new ConfigError(`${env} ${error instanceof Error ? error.message : 'is not a bucket'}`)
  }
}

/** Where something listens; `off`: nowhere. */
type ListenAddress = { readonly host: string; readonly port: number } | 'off'

function listenAddress(text: string, env: string): ListenAddress {
  if (text === 'off') return 'off'
  const [, v6, host, port] = /^(?:\[([0-9a-f:.]+)\]|([^:\s]+)):(\d{1,5})$/i.exec(text) ?? []
  const name = v6 ?? host
  if (name !== undefined && Number(port) <= 65_535) return { host: name, port: Number(port) }
  throw new ConfigError(`${env} must be host:port or off, not ${text}`)
}

function integer(min: number, max: number): Parse<number> {
  return (text, env) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new ConfigError(`${env} must be a whole number from ${min} to ${max}, not ${text}`)
  }
}

function trueOrFalse(text: string, env: string): boolean {
  if (/^(1|true|yes|on)$/i.test(text)) return true
  if (/^(0|false|no|off)$/i.test(text)) return false
  throw new ConfigError(`${env} must be true or false, not ${text}`)
}

function wordOf<const W extends string>(...words: readonly W[]): Parse<W> {
  return (text, env) => {
    const found = words.find((word) => word === text)
    if (found !== undefined) return found
    throw new ConfigError(`${env} must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}, not ${text}`)
  }
}

/** The error does not show the value, which may be a secret. */
function matching(pattern: RegExp, form: string): Parse<string> {
  return (text, env) => {
    if (pattern.test(text)) return text
    throw new ConfigError(`${env} must be ${form}`)
  }
}
