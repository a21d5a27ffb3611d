import swagger from '@fastify/swagger'
import fastify from 'fastify'
import { pino } from 'pino'
import { adminRoutes } from '../src/admin/routes.ts'
import { subjects } from '../src/admin/schemas.ts'
import { Faults } from '../src/api/faults.ts'
import { Operator } from '../src/api/operator.ts'
import type { Channels } from '../src/channels/channels.ts'
import { Outbox } from '../src/channels/email/outbox.ts'
import { type Config, readConfig } from '../src/config.ts'
import { DeliveryIdle } from '../src/delivery/idle.ts'
import { openInstallation } from '../src/installation/open.ts'

type Json = null | boolean | number | string | readonly Json[] | JsonObject
type JsonObject = { readonly [key: string]: Json }

/** The part of the document of the plugin that is changed here. */
interface Document {
  readonly components: object
  readonly paths: Record<string, Record<string, { requestBody?: Body }>>
}

interface Body {
  required: boolean
  readonly content: Record<string, { readonly schema: { readonly type: string | readonly string[] } }>
}

export interface AdminDescription {
  /** OpenAPI 3.1. */
  readonly document: Record<string, unknown>
  /** All registered routes, such as `GET /admin/v1/accounts/{sid}`. */
  readonly routes: readonly string[]
}

const in_memory = { engine: 'sqlite', file: ':memory:' } as const

const about = {
  openapi: '3.1.0',
  info: {
    title: 'Parley operator API',
    version: '1',
    description:
      "The operator's own API: accounts, API keys, access tokens, messaging channels, content templates, finding conversations, the delivery log, what changes as it changes, the test clock and the test mode. Requests and responses are JSON; " +
      'every error is `{"error": "what is wrong"}`, with the `code` of `/v1` where there is one.',
    license: { name: 'MIT', identifier: 'MIT' },
  },
  servers: [{ url: 'http://127.0.0.1:8080', description: 'The default address' }],
  security: [{ operator: [] }],
  components: {
    securitySchemes: {
      operator: {
        type: 'http' as const,
        scheme: 'bearer',
        description: 'The operator token. In requests of the pages of this server, the cookie of `POST /session` takes its place',
      },
    },
  },
  tags: subjects.map((name) => ({ name })),
}

/** Returns the description of the admin API, from its routes on a server that does not listen. */
export async function describeAdmin(): Promise<AdminDescription> {
  const config: Config = { ...readConfig({ PARLEY_TEST_MODE: 'true' }), database: in_memory, dataDir: null }
  const installation = await openInstallation(config, { log: pino({ level: 'silent' }) })
  const server = fastify()
  const routes: string[] = []
  server.addHook('onRoute', ({ method, url }) => {
    if (method !== 'HEAD') routes.push(`${method} ${withoutSlash(url).replace(/:(\w+)/g, '{$1}')}`)
  })
  try {
    await server.register(swagger, { openapi: about, transform: ({ schema, url }) => ({ schema, url: withoutSlash(url) }) })
    const timers = { catchUp: async () => undefined, nextOf: async () => undefined }
    const act = <T>(run: () => Promise<T>) => run()
    const testMode = { deliveries: { whileQuiet: act, whileGivenUp: act }, faults: new Faults() }
    const idle = new DeliveryIdle(installation)
    await server.register(
      adminRoutes({
        installation,
        timers,
        idle,
        limits: null,
        operator: new Operator({ ...installation, read: installation.database.read, logins: null }),
        mirror: null,
        testMode,
        // Never used: the server receives no request.
        channels: { carriers: {} } as Channels,
        email: { outbox: new Outbox(), take: async () => [], maxBytes: 1 },
        gateway: { open: () => Promise.reject(new Error('nothing is served')) },
      }),
      {
        prefix: '/admin/v1',
      },
    )
    await server.ready()
    // A copy: the plugin may return its own object.
    return { document: withComponents(JSON.parse(JSON.stringify(server.swagger()))), routes }
  } finally {
    await server.close()
    await installation.database.close()
  }
}

function withoutSlash(url: string): string {
  return url.replace(/\/$/, '')
}

function withComponents({ components, ...rest }: Document): AdminDescription['document'] {
  for (const { requestBody: body } of Object.values(rest.paths).flatMap((path) => Object.values(path))) {
    if (body) body.required = !Object.values(body.content).some(({ schema }) => schema.type.includes('null'))
  }
  const schemas: Record<string, Json> = {}
  const shared = Object.entries(rest).map(([key, value]) => [key, withReferences(value as unknown as Json, schemas)])
  return { ...Object.fromEntries(shared), components: { ...components, schemas } }
}

/** Moves schemas with a title to `schemas`, each once, and leaves references in their place. */
function withReferences(value: Json, schemas: Record<string, Json>): Json {
  if (Array.isArray(value)) return value.map((item) => withReferences(item, schemas))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, item]) => [key, withReferences(item, schemas)])
  const { title, ...schema }: JsonObject = Object.fromEntries(entries)
  if (typeof title !== 'string' || !schema.properties) return Object.fromEntries(entries)
  const component = { ...schema, type: 'object' }
  if (title in schemas && JSON.stringify(schemas[title]) !== JSON.stringify(component)) {
    throw new Error(`two schemas have the title ${title}`)
  }
  schemas[title] = component
  return { $ref: `#/components/schemas/${title}` }
}
