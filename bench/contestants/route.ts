import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { newAccount } from '../../src/accounts/accounts.ts'
import { Admission } from '../../src/api/admission.ts'
import { Authenticator } from '../../src/api/auth.ts'
import { hostCheck } from '../../src/api/hosts.ts'
import { defaultConnections, defaultLimits } from '../../src/api/limits.ts'
import { defaultLogins, LoginThrottle } from '../../src/api/login-throttle.ts'
import { createHttp } from '../../src/api/server.ts'
import { SystemClock } from '../../src/clock.ts'
import { createWebhookClient } from '../../src/delivery/client.ts'
import { propose } from '../../src/model/change.ts'
import { Metrics } from '../../src/observability/metrics.ts'
import { resources } from '../../src/resources/index.ts'
import { type Database, onlyNode, onlySlot, type Reader } from '../../src/storage/database.ts'
import { rowsBy } from '../../src/storage/rows.ts'
import { Vault } from '../../src/vault.ts'
import { serveParent } from '../child.ts'
import { account_sid, auth_token } from '../workload.ts'

/** The create route of Parley with authentication, hooks and log, but without storage: the difference is the cost of storage. */
const vault = new Vault('b'.repeat(64))
const created = newAccount({ sid: account_sid, friendly_name: 'Bench', sealedToken: vault.seal(auth_token), now: Date.now() })
const rows = new Map<unknown, object>([
  [rowsBy('accounts', ['sid']), created.account],
  [rowsBy('services', ['sid', 'account_sid']), created.service],
])
const read: Reader = {
  one: async (query) => rows.get(query) as never,
  all: async () => [],
  hold: async (query) => rows.get(query) as never,
}
const database: Database = {
  capabilities: { engine: 'sqlite', soleOwner: true, cacheLeaseMs: Number.POSITIVE_INFINITY },
  read,
  slots: onlySlot,
  nodes: onlyNode(),
  write: () => Promise.reject(new Error('there is no storage')),
  publish: () => {},
  subscribe: () => {},
  failing: () => false,
  sizes: async () => ({ bytes: 0, tables: [] }),
  waiting: () => 0,
  scrub: async () => true,
  usage: async () => ({ bytes: 0, pool: null }),
  close: async () => {},
}
const metrics = new Metrics(database, { engine: 'none', folder: '/' })
const log = pino({ base: null }, pino.destination({ fd: 1, sync: false, minLength: 4096, periodicFlush: 500 }))
const server = createHttp({
  pipeline: {
    clock: new SystemClock(),
    read,
    responses: null,
    direct: null,
    actions: null,
    pageSecrets: vault.deriveAll('page tokens'),
    preAction: { client: createWebhookClient({ allowPrivate: true, verifyTls: true }), vault, tracer: null, warn: () => {} },
    catchUp: async () => {},
    writeAll: () => Promise.reject(new Error('there is no storage')),
    async write(resource, request) {
      const { row } = await propose(read, resource, request)
      return { row, ancestors: { service: { sid: created.service.sid }, parents: [] } }
    },
  },
  authenticator: new Authenticator({
    database,
    vault,
    throttle: new LoginThrottle({ ...defaultLogins, maxFailed: 30 }),
    onFailedLogin: () => {},
  }),
  admission: new Admission({
    maxConcurrent: 0,
    maxPerSecond: 0,
    now: () => performance.now(),
    nodes: database.nodes,
    onRefused: () => {},
  }),
  resources,
  operations: [],
  otherSurfaces: [],
  tracer: null,
  publicUrl: null,
  log,
  logRequest: (line) => log.info(line, 'request'),
  limits: { ...defaultLimits, maxConnections: defaultConnections(), maxConnectionsPerAddress: 0, isExempt: () => true },
  isTrustedProxy: null,
  isOwnHost: hostCheck({ host: '127.0.0.1', publicUrl: null, allowedHosts: [] }),
  onRefusedConnection: (limit) => metrics.countLimited(limit),
  onResponse: (response) => metrics.countRequest(response),
})
await server.listen({ port: 0, host: '127.0.0.1' })
serveParent({ port: (server.server.address() as AddressInfo).port }, () => ({}))
