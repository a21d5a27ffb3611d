import { ConfigError } from './config-error.ts'
import { declare, type Setting, secret } from './setting.ts'
import {
  anyText,
  bucketUrl,
  groupRoles,
  hostNames,
  integer,
  isLoopback,
  issuer,
  listenAddress,
  mailUrl,
  matching,
  networks,
  none,
  parseDatabaseUrl,
  publicUrl,
  trueOrFalse,
  vendorHosts,
  wordOf,
} from './setting-values.ts'
import { secretForm } from './sids.ts'

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
