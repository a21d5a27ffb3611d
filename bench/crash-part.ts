import { setTimeout as sleep } from 'node:timers/promises'
import type { SettingTexts } from '../src/config.ts'
import { creation } from './asks.ts'
import { type Command, end, firstAnswer, serve } from './command.ts'
import type { Kept } from './contents.ts'
import { DatabaseFile } from './database-file.ts'
import type { Options } from './options.ts'
import { call, hooked } from './parley.ts'
import { atMost, type Goal, heading } from './report.ts'
import type { Sink } from './sink.ts'

const writers = 32

/** The last answered write of a conversation, and the one that was on its way. */
interface Written {
  friendly_name: string
  /** May have been committed although nobody was told. */
  asked: string | null
  /** Answered writes: each owes an event. */
  writes: number
}

/** What is killed and looked into. */
export interface Crashing {
  readonly settings: SettingTexts
  kept(): Kept | Promise<Kept>
  /** `ok`, or what is wrong with the database itself. Null: nobody can say. */
  integrity(): Promise<string> | string | null
  /** Kills the database's own server and starts it again; null: there is none, or it is somebody else's. */
  readonly killDatabase: (() => Promise<void>) | null
}

export function crashingFile(path: string): Crashing {
  const looking = <R>(look: (file: DatabaseFile) => R): R => {
    const file = new DatabaseFile(path)
    const seen = look(file)
    file.close()
    return seen
  }
  return {
    settings: { PARLEY_DATABASE_URL: `sqlite:${path}` },
    kept: () => looking((file) => file.written()),
    integrity: () =>
      looking((file) => file.all<{ integrity_check: string }>('pragma integrity_check')[0]?.integrity_check ?? 'no answer'),
    killDatabase: null,
  }
}

/**
 * Writes from many sides, kills the server at a random moment with SIGKILL, starts it again on the same database and looks for
 * every write that had been answered, and its event. Where the database has a server, every other time that one is killed, and
 * Parley has to live through it. This is the death of processes; the loss of power is fsync's to survive.
 */
export async function crashPart(sink: Sink, options: Options, crashing: Crashing): Promise<Goal[]> {
  const { settings, killDatabase } = crashing
  let command = await serve(settings)
  await firstAnswer(command)
  // Nothing is delivered, so that every event stays as it was written.
  const service_sid = await hooked(command.port, sink.hang)
  const total: Lost = { answered: 0, writes: 0, events: 0 }
  for (let round = 1; round <= options.crash_rounds; round++) {
    const written = new Map<string, Written>()
    let alive = true
    const whole = killDatabase !== null && round % 2 === 0
    const writing = { command, service_sid, written, alive: () => alive, patient: whole }
    const all = Promise.all(Array.from({ length: writers }, () => keepWriting(writing)))
    await sleep(30 + Math.random() * 170)
    if (whole) {
      await killDatabase()
      await sleep(100)
    } else await end(command, 'SIGKILL')
    alive = false
    await all
    if (!whole) command = await serve(settings)
    await firstAnswer(command)
    addMissing(total, await crashing.kept(), written)
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
  /** Goes on after an answer that the database is away. */
  readonly patient: boolean
}

async function keepWriting(writing: Writing): Promise<void> {
  while (writing.alive()) {
    try {
      await writeOne(writing)
    } catch (error) {
      // What was asked may or may not be there.
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
  const made = await call<{ sid: string; friendly_name: string }>(command.port, path, creation())
  const record: Written = { friendly_name: made.friendly_name, asked: null, writes: 1 }
  written.set(made.sid, record)
  for (const next of ['renamed', 'renamed again']) {
    record.asked = next
    await call(command.port, `${path}/${made.sid}`, `FriendlyName=${next.replace(' ', '+')}`)
    record.friendly_name = next
    record.asked = null
    record.writes++
  }
}

interface Lost {
  answered: number
  writes: number
  events: number
}

function addMissing(total: Lost, { names, events }: Kept, written: ReadonlyMap<string, Written>): void {
  for (const [sid, { friendly_name, asked, writes }] of written) {
    const kept = names.get(sid)
    total.answered += writes
    if (kept !== friendly_name && kept !== asked) total.writes++
    total.events += Math.max(0, writes - (events.get(sid) ?? 0))
  }
}
