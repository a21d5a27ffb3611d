import { setTimeout as sleep } from 'node:timers/promises'
import { atMost, type Goal, heading } from '../reports/report.ts'
import type { SettingTexts } from '../src/config.ts'
import { type Command, end, firstResponse, serve } from './command.ts'
import type { Persisted } from './contents.ts'
import { DatabaseFile } from './database-file.ts'
import type { Options } from './options.ts'
import { call, createWebhookService } from './parley.ts'
import type { Sink } from './sink.ts'
import { creation } from './workload.ts'

const writers = 32

/** The last acknowledged write of a conversation, and the one in flight. */
interface Written {
  friendly_name: string
  /** May have been committed without an acknowledgement. */
  inFlight: string | null
  /** Acknowledged writes: each must have an event. */
  writes: number
}

/** The server that is killed, and its database. */
export interface Crashing {
  readonly settings: SettingTexts
  persisted(): Persisted | Promise<Persisted>
  /** Returns `ok` or what is wrong with the database; null where it cannot be checked. */
  integrity(): Promise<string> | string | null
  /** Kills the database server and restarts it; null: there is none, or the bench did not start it. */
  readonly killDatabase: (() => Promise<void>) | null
}

export function crashingFile(path: string): Crashing {
  const inspect = <R>(read: (file: DatabaseFile) => R): R => {
    const file = new DatabaseFile(path)
    const result = read(file)
    file.close()
    return result
  }
  return {
    settings: { PARLEY_DATABASE_URL: `sqlite:${path}` },
    persisted: () => inspect((file) => file.persisted()),
    integrity: () =>
      inspect((file) => file.all<{ integrity_check: string }>('pragma integrity_check')[0]?.integrity_check ?? 'no result'),
    killDatabase: null,
  }
}

/**
 * Writes concurrently, kills the server with SIGKILL at a random moment, restarts it on the same database and checks that every
 * acknowledged write and its event are there. A database server is killed in every other round instead, which Parley must
 * survive. This tests the death of processes, not a loss of power.
 */
export async function crashPart(sink: Sink, options: Options, crashing: Crashing): Promise<Goal[]> {
  const { settings, killDatabase } = crashing
  let command = await serve(settings)
  await firstResponse(command)
  // The endpoint never responds, so that all events stay pending.
  const service_sid = await createWebhookService(command.port, sink.hang)
  const total: Lost = { answered: 0, writes: 0, events: 0 }
  for (let round = 1; round <= options.crash_rounds; round++) {
    const written = new Map<string, Written>()
    let alive = true
    const with_database = killDatabase !== null && round % 2 === 0
    const writing = { command, service_sid, written, alive: () => alive, patient: with_database }
    const all = Promise.all(Array.from({ length: writers }, () => keepWriting(writing)))
    await sleep(30 + Math.random() * 170)
    if (with_database) {
      await killDatabase()
      await sleep(100)
    } else await end(command, 'SIGKILL')
    alive = false
    await all
    if (!with_database) command = await serve(settings)
    await firstResponse(command)
    addMissing(total, await crashing.persisted(), written)
    if (round % 20 === 0) console.error(`crash: round ${round} of ${options.crash_rounds}`)
  }
  await end(command, 'SIGKILL')
  const sound = await crashing.integrity()
  const who = killDatabase ? 'of Parley and of its database in turn' : 'of Parley'
  console.log(heading('kill -9'))
  console.log(
    `${options.crash_rounds} rounds, ${who}, ${total.answered} answered writes: ${total.writes} writes and ${total.events} events ` +
      `lost${sound === null ? '' : `; check of the database: ${sound}`}.`,
  )
  return [
    atMost(`answered writes lost over ${options.crash_rounds} kill -9`, 0, total.writes),
    atMost('events lost', 0, total.events),
    ...(sound === null ? [] : [atMost('databases found broken', 0, sound === 'ok' ? 0 : 1)]),
  ]
}

interface Writing {
  readonly command: Command
  readonly service_sid: string
  readonly written: Map<string, Written>
  readonly alive: () => boolean
  /** Continues after a response that the database is unavailable. */
  readonly patient: boolean
}

async function keepWriting(writing: Writing): Promise<void> {
  while (writing.alive()) {
    try {
      await writeOne(writing)
    } catch (error) {
      // The write in flight may or may not have been committed.
      const { message } = error as Error
      const away = / 503 /.test(message) && writing.patient
      if (/: [45]\d\d /.test(message) && !away) throw error
      if (!away) return
      await sleep(20)
    }
  }
}

/** Creates a conversation and renames it twice. */
async function writeOne({ command, service_sid, written }: Writing): Promise<void> {
  const path = `/v1/Services/${service_sid}/Conversations`
  const created = await call<{ sid: string; friendly_name: string }>(command.port, path, creation())
  const record: Written = { friendly_name: created.friendly_name, inFlight: null, writes: 1 }
  written.set(created.sid, record)
  for (const next of ['renamed', 'renamed again']) {
    record.inFlight = next
    await call(command.port, `${path}/${created.sid}`, `FriendlyName=${next.replace(' ', '+')}`)
    record.friendly_name = next
    record.inFlight = null
    record.writes++
  }
}

interface Lost {
  answered: number
  writes: number
  events: number
}

function addMissing(total: Lost, { names, events }: Persisted, written: ReadonlyMap<string, Written>): void {
  for (const [sid, { friendly_name, inFlight, writes }] of written) {
    const stored = names.get(sid)
    total.answered += writes
    if (stored !== friendly_name && stored !== inFlight) total.writes++
    total.events += Math.max(0, writes - (events.get(sid) ?? 0))
  }
}
