import { readAccount, readUsers, servicesOf } from './account.ts'
import { Batch } from './batch.ts'
import { HostedError, type Json } from './client.ts'
import { isDone, readConversation, type Task } from './conversation.ts'
import { inOrder } from './in-order.ts'
import { isMissing, isStalePosition, maxRestarts, type Reading, reasonOf, rowsOf } from './reader.ts'
import { sidOf, textOf } from './record.ts'

const conversationsPerPage = 100

/**
 * A filter by date puts the list in the order of creation, newest first. Without one it is in the order of activity, in which a
 * conversation that gets a message jumps over the position of whoever is reading. The date is before all others.
 */
const everything = '1970-01-01T00:00:00Z'

/** How much there is to read. */
export interface Survey {
  readonly conversations: number
  readonly open: number
  readonly users: number
  /** Requests that reading it takes at least: files, receipts and long conversations come on top. */
  readonly requests: number
}

/** What a pass is begun with. */
export interface PassOptions {
  readonly reading: Reading
  /** Conversations that are read at the same time. */
  readonly atOnce: number
  /** Only these services; null for all of them. */
  readonly services: readonly string[] | null
}

/** Returns the rows of the services that are to be read. Throws HostedError. */
export async function chosenServices({ reading, services }: PassOptions): Promise<Json[]> {
  const rows = await servicesOf(reading)
  if (services === null) return rows
  const missing = services.filter((sid) => !rows.some((row) => row.sid === sid))
  if (missing.length > 0) throw new HostedError(`the account has no service ${missing.join(', ')}`, 404)
  return rows.filter((row) => services.includes(sidOf(row)))
}

/** Counts what there is; once in a pass, and kept with it. `step` is told of each page. */
export async function survey(options: PassOptions, services: readonly Json[], step: (rows: number) => void): Promise<Survey> {
  const { reading } = options
  const kept = reading.checkpoint.note<Survey>('survey')
  if (kept) return kept
  let [conversations, open, users, pages] = [0, 0, 0, 0]
  for (const service of services) {
    const path = `/v1/Services/${sidOf(service)}`
    const chats = { path: `${path}/Conversations?StartDate=${everything}`, key: 'conversations', size: conversationsPerPage }
    const counted = await count(reading, chats, step)
    const people = await usersOf(reading, path, step)
    conversations += counted.rows
    open += counted.open
    users += people.rows
    pages += counted.pages + people.pages
  }
  const memberships = reading.options.memberships ? users : 0
  const requests = pages + services.length * 6 + 5 + memberships + 2 * conversations + open
  const counted = { conversations, open, users, requests }
  reading.checkpoint.setNote('survey', counted)
  return counted
}

interface Counted {
  readonly rows: number
  readonly open: number
  readonly pages: number
}

/** Counts the rows of a list. One that begins anew is counted anew. */
async function count(
  { client, options }: Reading,
  { path, key, size }: { readonly path: string; readonly key: string; readonly size: number },
  step: (rows: number) => void,
): Promise<Counted> {
  const first = `${path}${path.includes('?') ? '&' : '?'}PageSize=${options.pageSize ?? size}`
  for (let restarts = 0; ; restarts++) {
    const counted = { rows: 0, open: 0, pages: 0 }
    try {
      for await (const { rows } of client.pages(first, key)) {
        counted.rows += rows.length
        counted.open += rows.filter(({ state }) => state !== 'closed').length
        counted.pages++
        step(rows.length)
      }
      return counted
    } catch (error) {
      if (!isStalePosition(error) || restarts === maxRestarts) throw error
    }
  }
}

/** A key that may not read users still reads the rest: the problem is noted when they are read. */
async function usersOf(reading: Reading, path: string, step: (rows: number) => void): Promise<Counted> {
  try {
    return await count(reading, { path: `${path}/Users`, key: 'users', size: 50 }, step)
  } catch (error) {
    if (error instanceof HostedError) return { rows: 0, open: 0, pages: 0 }
    throw error
  }
}

/**
 * Reads everything, and yields it in the order of docs/moving.md. Each batch is to be stored, and said to be, before the next is
 * asked for. What fails is noted in the checkpoint and left out.
 */
export async function* readPass(options: PassOptions, services: readonly Json[]): AsyncGenerator<Batch> {
  const { reading } = options
  yield* readAccount(reading, services)
  for (const service of services) {
    const sid = sidOf(service)
    yield* readUsers(reading, sid)
    // Conversations ask who made them.
    yield new Batch({ isBoundary: true })
    yield* readConversations(options, sid)
  }
}

async function* readConversations(options: PassOptions, service: string): AsyncGenerator<Batch> {
  const { reading, atOnce } = options
  const { checkpoint } = reading
  const started = new Set<string>()
  yield* inOrder(tasksOf(options, service, started), atOnce)
  // Made since the pass began: before the position at which the list was then.
  const since = new Date(checkpoint.began).toISOString().slice(0, 10)
  yield* inOrder(newestOf(options, service, since, started), atOnce)
  yield new Batch({ isBoundary: true })
  // Once more what has failed; what then fails again stays a problem.
  const failed = checkpoint.problems().filter(({ kind }) => kind === 'conversation')
  yield* inOrder(
    repeated(
      reading,
      service,
      failed.map(({ sid }) => sid),
    ),
    atOnce,
  )
  yield await absentees(reading, service)
}

type Source = () => AsyncIterable<Batch>

async function* tasksOf({ reading }: PassOptions, service: string, started: Set<string>): AsyncGenerator<Source> {
  const { checkpoint, client, options } = reading
  const note = `conversations of ${service}`
  const first = `/v1/Services/${service}/Conversations?StartDate=${everything}&PageSize=${options.pageSize ?? conversationsPerPage}`
  const interrupted = checkpoint.interrupted(service)
  // Its records are the last of the file: they go on there.
  if (interrupted !== null) yield* tasksOfRows(reading, service, [await currentRow(reading, service, interrupted)], started)
  let at: string | null = checkpoint.note<string>(note) ?? first
  let isFresh = at === first
  while (at !== null && at !== '') {
    try {
      const page: { readonly rows: readonly Json[]; readonly next: string | null } = await client.page(at, 'conversations')
      yield* tasksOfRows(reading, service, page.rows, started)
      const next = page.next
      yield () => only(noted(() => checkpoint.setNote(note, next ?? '')))
      at = next
      isFresh = false
    } catch (error) {
      // What was read is not read again; only the list is.
      if (!isStalePosition(error) || isFresh) throw error
      at = first
      isFresh = true
    }
  }
}

async function* newestOf({ reading }: PassOptions, service: string, since: string, started: Set<string>): AsyncGenerator<Source> {
  const path = `/v1/Services/${service}/Conversations?StartDate=${since}T00:00:00Z`
  for await (const rows of rowsOf(reading, path, 'conversations', conversationsPerPage)) {
    yield* tasksOfRows(reading, service, rows, started)
  }
}

function* tasksOfRows(
  reading: Reading,
  service: string,
  rows: readonly (Json | null)[],
  started: Set<string>,
): Generator<Source> {
  const { checkpoint } = reading
  const listed = rows.filter((row) => row !== null)
  checkpoint.transaction(() => {
    for (const row of listed) checkpoint.seen('conversation', sidOf(row), service)
  })
  for (const row of listed) {
    const sid = sidOf(row)
    if (started.has(sid)) continue
    const task: Task = { service, sid, row, ended: () => started.delete(sid) }
    const done = isDone(reading, task)
    if (done === 'read') continue
    started.add(sid)
    yield () => (done === null ? readConversation(reading, task) : only(unchanged(reading, task)))
  }
}

async function* repeated(reading: Reading, service: string, sids: readonly string[]): AsyncGenerator<Source> {
  for (const sid of sids) {
    const row = await currentRow(reading, service, sid)
    if (row) yield* tasksOfRows(reading, service, [row], new Set())
  }
}

/** Returns the row of a conversation; null where it cannot be read. */
async function currentRow({ client }: Reading, service: string, sid: string): Promise<Json | null> {
  try {
    return await client.get(`/v1/Services/${service}/Conversations/${sid}`)
  } catch (error) {
    if (error instanceof HostedError) return null
    throw error
  }
}

function unchanged({ checkpoint }: Reading, { sid, row, ended }: Task): Batch {
  const batch = new Batch()
  batch.afterwards(ended)
  batch.afterwards(() => {
    const known = checkpoint.known(sid)
    checkpoint.conversationStored(sid, known?.hash ?? '', textOf(row, 'state'))
    checkpoint.count('conversation', 'unchanged')
  })
  return batch
}

/** Conversations that an earlier pass has read and this list no longer had: each is asked for, so that nothing is guessed. */
async function absentees(reading: Reading, service: string): Promise<Batch> {
  const { checkpoint, client } = reading
  const batch = new Batch()
  for (const sid of checkpoint.absent('conversation', service)) {
    try {
      await client.get(`/v1/Services/${service}/Conversations/${sid}`)
    } catch (error) {
      if (!(error instanceof HostedError)) throw error
      batch.afterwards(() => {
        if (!isMissing(error)) return checkpoint.problem({ kind: 'conversation', sid, reason: reasonOf(error) })
        checkpoint.deleted('conversation', sid)
        checkpoint.count('conversation', 'deleted')
        checkpoint.forget(sid)
      })
    }
  }
  return batch
}

function noted(note: () => void): Batch {
  const batch = new Batch()
  batch.afterwards(note)
  return batch
}

async function* only(batch: Batch): AsyncGenerator<Batch> {
  yield batch
}
