import { fileURLToPath } from 'node:url'
import Fastify, { type FastifyInstance } from 'fastify'
import { build } from 'vite'
import { startParley, type TestParley } from '../../src/testing.ts'
import type { Conversation, PersonSetup, Setup, Token } from './protocol.ts'

/** The demo, running. */
export interface ChatDemo extends AsyncDisposable {
  /** The address of the page. */
  readonly url: string
}

const people: readonly PersonSetup[] = [
  { identity: 'ann', name: 'Ann' },
  { identity: 'bob', name: 'Bob' },
]
const timers = { 'timers.inactive': 'PT5M', 'timers.closed': 'PT10M' }
const page = fileURLToPath(new URL('page', import.meta.url))

/** Starts Parley in memory, with a clock that the page can move, and a server of the page. `port`: 0 for any. */
export async function startChatDemo({ port }: { readonly port: number }): Promise<ChatDemo> {
  const files = await bundle()
  const parley = await startParley()
  const server = Fastify({ forceCloseConnections: true })
  const stop = async () => {
    await server.close()
    await parley.stop()
  }
  try {
    addFiles(server, files, parley.url)
    addRequests(server, parley, await newConversation(parley))
    // Of this machine only: it hands out tokens to whoever asks.
    const url = await server.listen({ host: '127.0.0.1', port })
    return { url: url.replace('127.0.0.1', 'localhost'), [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Returns the files of the page by their paths. */
async function bundle(): Promise<ReadonlyMap<string, string | Uint8Array>> {
  const options = { write: false, modulePreload: false, chunkSizeWarningLimit: 1000 }
  const built = await build({ root: page, configFile: false, logLevel: 'warn', build: options })
  const outputs = Array.isArray(built) ? built : 'output' in built ? [built] : []
  const files = outputs.flatMap(({ output }) => output)
  return new Map(files.map((file) => [`/${file.fileName}`, file.type === 'chunk' ? file.code : file.source]))
}

const types: Readonly<Record<string, string>> = { html: 'text/html', js: 'text/javascript', css: 'text/css' }

function addFiles(server: FastifyInstance, files: ReadonlyMap<string, string | Uint8Array>, parley: string): void {
  const policy = [
    "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    `connect-src 'self' ${parley} ${parley.replace('http', 'ws')}`,
    `img-src 'self' data: ${parley}`,
  ].join('; ')
  for (const [path, content] of files) {
    const type = types[path.split('.').at(-1) ?? ''] ?? 'application/octet-stream'
    server.get(path === '/index.html' ? '/' : path, (_request, reply) =>
      reply.header('content-security-policy', policy).type(`${type}; charset=utf-8`).send(content),
    )
  }
}

function addRequests(server: FastifyInstance, parley: TestParley, first: string): void {
  let sid = first
  server.get('/setup', (): Setup => ({ uri: `${parley.url.replace('http', 'ws')}/v3/wsconnect`, people }))

  const identity = { type: 'string', enum: people.map((one) => one.identity) }
  const wanted = { body: { type: 'object', required: ['identity'], properties: { identity } } }
  server.post<{ Body: PersonSetup }>('/tokens', { schema: wanted }, ({ body }): Promise<Token> => newToken(parley, body.identity))

  server.get('/conversation', () => conversation(parley, sid))
  server.post('/conversation', async () => {
    sid = await newConversation(parley)
    return conversation(parley, sid)
  })

  const duration = { type: 'string', enum: ['PT5M', 'PT10M', 'PT1H'] }
  const move = { body: { type: 'object', required: ['advance'], properties: { advance: duration } } }
  server.post<{ Body: { advance: string } }>('/clock', { schema: move }, async ({ body }) => {
    await parley.clock.advance(body.advance)
    return conversation(parley, sid)
  })
}

async function newToken(parley: TestParley, identity: string): Promise<Token> {
  const { url, adminToken } = parley.connection
  const response = await fetch(`${url}/admin/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ identity }),
  })
  // As docs/clients.md describes it.
  return (await response.json()) as Token
}

/** Creates a conversation with both people and timers; returns its SID. */
async function newConversation(parley: TestParley): Promise<string> {
  const { conversations } = parley.client().conversations.v1
  const { sid } = await conversations.create({ friendlyName: 'Order 1234', ...timers })
  for (const { identity } of people) await conversations(sid).participants.create({ identity })
  return sid
}

async function conversation(parley: TestParley, sid: string): Promise<Conversation> {
  const row = await parley.client().conversations.v1.conversations(sid).fetch()
  const now = await parley.clock.now()
  const { state } = row
  if (state === 'initializing') throw new Error('it was created without participants')
  const { date_inactive = null, date_closed = null } = row.timers
  return { sid, state, becomesInactive: date_inactive, isClosed: date_closed, now: now.toISOString() }
}
