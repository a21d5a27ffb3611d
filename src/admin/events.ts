import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { FastifyPluginAsync } from 'fastify'
import { LRUCache } from 'lru-cache'
import { type Access, callerOf } from '../api/rights.ts'
import { objectNamed } from '../resources/sync-objects.ts'
import { isSid } from '../sids.ts'
import type { Database, Notice } from '../storage/database.ts'
import { needs } from './access.ts'
import { findAccount } from './find-account.ts'
import { errors, type OperationSchema } from './schemas.ts'

/** Changes within so long are one event for each thing that has changed. */
const gatherMs = 100
/** Beyond so many different things at a time, everything may have changed. */
const maxGathered = 200
/** Events kept for streams that come back. */
const maxKept = 5000
/** After so long without a stream nothing is kept. */
const forgetMs = 5 * 60_000
/** Proxies close what is silent. */
const pingMs = 15_000
/** A stream ends after so long and its browser opens the next: the session is checked again. */
const streamMs = 10 * 60_000
/** What a stream may have unread before it is cut off. */
const maxUnreadBytes = 1024 * 1024
const retryMs = 1000

const streamEvents: OperationSchema = {
  operationId: 'streamEvents',
  summary: 'Follow what changes, on all nodes',
  description:
    'Server-sent events, which name what has changed and hold nothing of it: `conversation` (its state, names, messages or ' +
    'participants), `reopened` (a closed conversation, by the operator) and `user`, with `{"sid":"…"}`; `deliveries` and `clock`, with `{}`; `reset` when anything may have changed; `start` where a stream begins. With ' +
    '`Last-Event-ID`, as browsers send it, or `last_event_id` it goes on where it ended, or with `reset`. It ends after ten minutes, and when the operator who follows is changed. An operator who has not all accounts is sent what is about ' +
    'theirs.',
  tags: ['Events'],
  querystring: {
    type: 'object',
    properties: {
      last_event_id: {
        type: 'string',
        maxLength: 64,
        description:
          'For a program that cannot set the header of a stream that it begins, such as a browser; the header precedes it',
      },
    },
    additionalProperties: false,
  },
  response: {
    200: {
      description: 'The stream',
      content: { 'text/event-stream': { schema: { type: 'string' } } },
    },
    ...errors(400),
  },
}

/** What an event is about; some are about no one thing. */
interface FeedEvent {
  readonly type: 'conversation' | 'reopened' | 'user' | 'deliveries' | 'clock' | 'reset'
  readonly sid?: string
}

interface Kept {
  readonly seq: number
  readonly text: string
  /** What it is about; undefined where it is about no one thing. */
  readonly sid: string | undefined
}

/** Who follows. */
type Follower = Pick<Access, 'id' | 'accounts'>

/** Passes on what the notices of commits say. It works, and keeps events, only while somebody follows it or has just done so. */
class EventFeed {
  readonly #database: Pick<Database, 'read'>
  readonly #streams = new Map<ServerResponse, Follower>()
  /** The accounts of what events are about, for those who have not all; null: not found. */
  readonly #accounts = new LRUCache<string, Promise<string | null>>({ max: 5000 })
  /** Events are written in order, also while an account is looked up. */
  #writing = Promise.resolve()
  /** Of this process since it last forgot: the first half of each id. */
  #epoch = newEpoch()
  #seq = 0
  #kept: Kept[] = []
  #gathered = new Map<string, FeedEvent>()
  #flush: NodeJS.Timeout | undefined
  #forget: NodeJS.Timeout | undefined
  #active = false

  constructor(database: Pick<Database, 'subscribe' | 'read'>) {
    this.#database = database
    database.subscribe((notices) => {
      if (!this.#active) return
      for (const notice of notices) {
        this.#endChanged(notice)
        if (notice.topic === 'elapsed') for (const object of notice.objects) this.#add(eventOf({ topic: 'sync', object }))
        else this.#add(eventOf(notice))
      }
    })
  }

  /** Ends the streams of an operator who has changed: their browser, or program, comes back and is looked at again. */
  #endChanged(notice: Notice): void {
    if (notice.topic !== 'access' && notice.topic !== 'missed') return
    for (const [response, { id }] of this.#streams) {
      if (notice.topic === 'missed' ? isSid('operator', id) : id === notice.sid) response.end()
    }
  }

  /** Begins to write events to a response, with those since `lastId`. */
  async open(response: ServerResponse, follower: Follower, lastId: string | undefined): Promise<void> {
    clearTimeout(this.#forget)
    this.#active = true
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
    })
    response.write(`retry: ${retryMs}\n\n`)
    const ping = setInterval(() => {
      // Whoever does not read would keep its connection for ever.
      if (response.writableEnded) response.destroy()
      else this.#write(response, ': ping\n\n')
    }, pingMs)
    const end = setTimeout(() => response.end(), streamMs)
    response.once('close', () => {
      clearInterval(ping)
      clearTimeout(end)
      this.#streams.delete(response)
      if (this.#streams.size === 0) this.#forget = setTimeout(() => this.#stop(), forgetMs).unref()
    })
    this.#writing = this.#writing.then(async () => {
      await this.#resume(response, follower, lastId)
      if (!response.closed) this.#streams.set(response, follower)
    })
    await this.#writing
  }

  /** Ends all streams. */
  close(): void {
    for (const response of this.#streams.keys()) response.end()
    clearTimeout(this.#forget)
    this.#stop()
  }

  async #resume(response: ServerResponse, follower: Follower, lastId: string | undefined): Promise<void> {
    const [epoch, last] = (lastId ?? '').split('-')
    const first = this.#kept[0]?.seq ?? this.#seq + 1
    const known = epoch === this.#epoch && Number(last) >= first - 1 && Number(last) <= this.#seq
    if (!known) {
      // The first event gives the stream its place, so that it can be resumed from here.
      response.write(`id: ${this.#epoch}-${this.#seq}\nevent: ${lastId === undefined ? 'start' : 'reset'}\ndata: {}\n\n`)
      return
    }
    const missed = this.#kept.filter(({ seq }) => seq > Number(last))
    for (const kept of missed) await this.#tell(response, follower, kept)
  }

  #add(event: FeedEvent | undefined): void {
    if (!event) return
    this.#gathered.set(`${event.type} ${event.sid ?? ''}`, event)
    this.#flush ??= setTimeout(() => this.#send(), gatherMs).unref()
  }

  #send(): void {
    this.#flush = undefined
    const events = this.#gathered.size > maxGathered ? [{ type: 'reset' } as const] : [...this.#gathered.values()]
    this.#gathered = new Map()
    for (const { type, sid } of events) {
      const seq = ++this.#seq
      const kept = { seq, text: textOf(`${this.#epoch}-${seq}`, type, sid), sid }
      this.#kept.push(kept)
      this.#writing = this.#writing.then(async () => {
        for (const [response, follower] of this.#streams) await this.#tell(response, follower, kept)
      })
    }
    if (this.#kept.length > maxKept) this.#kept = this.#kept.slice(-maxKept / 2)
  }

  /** What is gone cannot be told apart from what is of another account: then anything may have changed. */
  async #tell(response: ServerResponse, { accounts }: Follower, { seq, text, sid }: Kept): Promise<void> {
    if (accounts === null || sid === undefined) return this.#write(response, text)
    const account_sid = await this.#accountOf(sid)
    if (account_sid === null) this.#write(response, textOf(`${this.#epoch}-${seq}`, 'reset', undefined))
    else if (accounts.has(account_sid)) this.#write(response, text)
  }

  #accountOf(sid: string): Promise<string | null> {
    const known = this.#accounts.get(sid)
    if (known) return known
    // A read that fails is as good as a row that is gone.
    const found = findAccount(this.#database.read, sid).catch(() => null)
    this.#accounts.set(sid, found)
    return found
  }

  #write(response: ServerResponse, text: string): void {
    // It has ended, but its reader has not taken all of it yet: one more write would be an error that nobody catches.
    if (response.writableEnded) return
    if (response.writableLength > maxUnreadBytes) response.destroy()
    else response.write(text)
  }

  #stop(): void {
    this.#active = false
    clearTimeout(this.#flush)
    this.#flush = undefined
    this.#epoch = newEpoch()
    this.#kept = []
    this.#gathered = new Map()
  }
}

function textOf(id: string, type: FeedEvent['type'], sid: string | undefined): string {
  return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(sid === undefined ? {} : { sid })}\n\n`
}

function newEpoch(): string {
  return randomBytes(6).toString('hex')
}

/** Returns what a notice means to somebody who looks on; undefined when it means nothing. */
function eventOf(notice: Notice): FeedEvent | undefined {
  switch (notice.topic) {
    case 'sync': {
      const object = objectNamed(notice.object)
      return object && { type: object.part === 'info' || object.part === 'channels' ? 'user' : 'conversation', sid: object.sid }
    }
    case 'deliveries':
    case 'dropped':
    case 'recorded':
      return { type: 'deliveries' }
    case 'reopened':
      return { type: 'reopened', sid: notice.sid }
    case 'clock':
      return { type: 'clock' }
    case 'emptied':
    case 'missed':
      return { type: 'reset' }
    default:
      return undefined
  }
}

/** The stream of changes. */
export function eventRoutes(database: Pick<Database, 'subscribe' | 'read'>): FastifyPluginAsync {
  const feed = new EventFeed(database)
  return async (routes) => {
    routes.addHook('preClose', async () => feed.close())
    routes.get<{ Querystring: { last_event_id?: string } }>(
      '/events',
      { schema: streamEvents, config: needs('read', 'own'), exposeHeadRoute: false },
      async (request, reply) => {
        reply.hijack()
        const last = request.headers['last-event-id']
        await feed.open(reply.raw, callerOf(request), typeof last === 'string' ? last : request.query.last_event_id)
      },
    )
  }
}
