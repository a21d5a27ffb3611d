import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Pool } from 'pg'
import { expect, test } from 'vitest'
import { newDatabase, type TestDatabase } from '../support/databases.ts'
import { hasNginx, type Nginx, startNginx } from '../support/nginx.ts'
import { type Serving, serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

const account_sid = `AC${'d'.repeat(32)}`
const auth_token = 'aTokenOfTheUpgrade'
const nextVersion = fileURLToPath(new URL('../support/next-version.ts', import.meta.url))

type Version = 'this' | 'next' | 'next, breaking'

/** Starts a node of this version, or of one that comes after it. */
function nodesOn({ env }: TestDatabase) {
  const common = {
    ...env,
    PARLEY_SECRET_KEY: randomBytes(32).toString('hex'),
    PARLEY_ADMIN_TOKEN: 'operator-token-of-the-upgrade',
    PARLEY_ACCOUNT_SID: account_sid,
    PARLEY_AUTH_TOKEN: auth_token,
    PARLEY_LOG_LEVEL: 'warn',
    PARLEY_TRUSTED_PROXIES: '127.0.0.1',
    PARLEY_MAX_CONCURRENT_REQUESTS: '0',
  }
  return (version: Version) =>
    serve({
      env: {
        ...common,
        ...(version !== 'this' && { NODE_OPTIONS: `--import ${nextVersion}` }),
        ...(version === 'next, breaking' && { PARLEY_FAULT_NEXT_SCHEMA: 'breaking' }),
      },
    })
}

async function query<R>({ config: { database } }: TestDatabase, text: string): Promise<R[]> {
  if (database.engine !== 'postgres') throw new Error('several nodes need PostgreSQL')
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: new Pool({ connectionString: database.url }) }) })
  try {
    return (await sql.raw<R>(text).execute(db)).rows
  } finally {
    await db.destroy()
  }
}

const portOf = ({ url }: Serving) => Number(new URL(url).port)

interface Load {
  /** What was acknowledged: messages by conversation. */
  readonly acknowledged: Map<string, string[]>
  readonly errors: unknown[]
  /** Resolves when so many more conversations were finished, all of them begun after this call. */
  rounds(more: number): Promise<void>
  stop(): Promise<void>
}

/** Callers with the official SDK, which repeat nothing: every refusal and every cut connection is an error. */
function startLoad(nginx: Nginx, writers: number): Load {
  const url = `https://127.0.0.1:${nginx.port}`
  const { conversations } = sdkFor({ url }, account_sid, auth_token, { ca: nginx.certificate }).conversations.v1
  const acknowledged = new Map<string, string[]>()
  const errors: unknown[] = []
  let stopped = false
  let begun = 0
  let onFinished: (turn: number) => void = () => {}
  const once = async (turn: number) => {
    const { sid } = await conversations.create({ friendlyName: `turn ${turn}`, xTwilioWebhookEnabled: 'true' })
    const messages: string[] = []
    acknowledged.set(sid, messages)
    await conversations(sid).participants.create({ identity: `user-${turn % 7}`, xTwilioWebhookEnabled: 'true' })
    for (let i = 0; i < 3; i++) {
      const message = await conversations(sid).messages.create({
        author: 'load',
        body: `${turn}.${i}`,
        xTwilioWebhookEnabled: 'true',
      })
      messages.push(message.sid)
    }
    await conversations(sid).update({ friendlyName: `turn ${turn}, done`, xTwilioWebhookEnabled: 'true' })
    const read = await conversations(sid).fetch()
    expect(read.friendlyName).toBe(`turn ${turn}, done`)
    expect((await conversations(sid).messages.list()).map((message) => message.sid)).toEqual(messages)
    if (turn % 5 === 0)
      await conversations(sid)
        .messages(messages[0] as string)
        .update({ body: 'changed' })
  }
  const writer = async () => {
    while (!stopped) {
      const turn = begun++
      await once(turn).catch((error: unknown) => errors.push(error))
      onFinished(turn)
    }
  }
  const running = Promise.all(Array.from({ length: writers }, writer))
  return {
    acknowledged,
    errors,
    rounds(more) {
      const from = begun
      let left = more
      return new Promise((resolve) => {
        onFinished = (turn) => {
          if (turn >= from && --left === 0) resolve()
        }
      })
    },
    async stop() {
      stopped = true
      await running
    },
  }
}

test.runIf(hasNginx || process.env.CI)(
  'an upgrade over a new schema, node by node under load: no error, nothing lost, nothing sent twice',
  async () => {
    await using database = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const start = nodesOn(database)
    await using first = await start('this')
    await using second = await start('this')
    await sdkFor(first, account_sid, auth_token)
      .conversations.v1.configuration.webhooks()
      .update({
        postWebhookUrl: catcher.url(),
        filters: ['onConversationAdded', 'onMessageAdded', 'onConversationUpdated'],
      })
    await using nginx = await startNginx([portOf(first), portOf(second)])
    const load = startLoad(nginx, 4)
    await load.rounds(10)

    // The new schema comes while both nodes of the old version are at work, and they go on.
    await using third = await start('next')
    expect(await query(database, "select name from kysely_migration where name like '9%'")).toHaveLength(1)
    const begunBefore = new Set(load.acknowledged.keys())
    await load.rounds(10)
    await nginx.reload([portOf(first), portOf(second), portOf(third)])
    await load.rounds(15)

    // One node of the old version is replaced.
    await nginx.reload([portOf(second), portOf(third)])
    expect(await first.end('SIGTERM')).toMatchObject({ code: 0 })
    await load.rounds(10)

    // The other one crashes or is moved, and comes up again on the newer schema.
    await nginx.reload([portOf(third)])
    expect(await second.end('SIGTERM')).toMatchObject({ code: 0 })
    await using again = await start('this')
    await nginx.reload([portOf(again), portOf(third)])
    await load.rounds(10)

    // Then it is replaced as well.
    await using fourth = await start('next')
    await nginx.reload([portOf(third), portOf(fourth)])
    expect(await again.end('SIGTERM')).toMatchObject({ code: 0 })
    await load.rounds(10)
    await load.stop()

    // First what the nodes say of it: a caller is told of no reason.
    const failures = [first, second, third, again, fourth].flatMap((node) => node.stdout().match(/^\{"level":50.*/gm) ?? [])
    expect(failures).toEqual([])
    expect(load.errors).toEqual([])
    const { conversations } = sdkFor(fourth, account_sid, auth_token).conversations.v1
    const all = await conversations.list()
    expect(new Set(all.map(({ sid }) => sid))).toEqual(new Set(load.acknowledged.keys()))
    for (const [sid, messages] of load.acknowledged) {
      expect((await conversations(sid).messages.list()).map((message) => message.sid)).toEqual(messages)
    }
    // Events: of each conversation and each message one, whichever node wrote or sent it.
    const sent = (type: string, key: string) =>
      catcher.requests.flatMap(({ params }) => (params.EventType === type ? [params[key] ?? ''] : [])).toSorted()
    const messages = [...load.acknowledged.values()].flat().toSorted()
    await expect.poll(() => new Set(sent('onMessageAdded', 'MessageSid')).size).toBe(messages.length)
    await expect.poll(() => new Set(sent('onConversationAdded', 'ConversationSid')).size).toBe(load.acknowledged.size)
    expect(sent('onMessageAdded', 'MessageSid')).toEqual(messages)
    expect(sent('onConversationAdded', 'ConversationSid')).toEqual([...load.acknowledged.keys()].toSorted())
    // What the next version adds is in what nodes of the version before have written since, too, and updates have left it there.
    const coloured = await query<{ sid: string }>(database, "select sid from conversations where colour = 'blue'")
    const begunSince = [...load.acknowledged.keys()].filter((sid) => !begunBefore.has(sid))
    expect(begunSince.length).toBeGreaterThan(40)
    expect(coloured.map(({ sid }) => sid)).toEqual(expect.arrayContaining(begunSince))
    console.info(
      `${load.acknowledged.size} conversations, ${messages.length} messages, ${catcher.requests.length} webhooks, 0 errors`,
    )
  },
)

test('a schema that a newer version has changed otherwise is refused, with a sentence that says so', async () => {
  await using database = await newDatabase()
  const start = nodesOn(database)
  {
    await using next = await start('next, breaking')
    await next.end('SIGTERM')
  }
  await expect(start('this')).rejects.toThrow(/made by a newer Parley \(schema 9001-title\): start that version instead/)
})
