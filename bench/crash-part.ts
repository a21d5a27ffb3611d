import { setTimeout as sleep } from 'node:timers/promises'
import { creation } from './asks.ts'
import { type Command, end, firstAnswer, serve } from './command.ts'
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

/**
 * Writes from many sides, kills the server at a random moment with SIGKILL, starts it again on the same file and looks for
 * every write that had been answered, and its event. This is the death of a process; the loss of power is fsync's to survive.
 */
export async function crashPart(sink: Sink, options: Options, folder: string): Promise<Goal[]> {
  const path = `${folder}/crash.db`
  let command = await serve(path)
  await firstAnswer(command)
  // Nothing is delivered, so that every event stays as it was written.
  const service_sid = await hooked(command.port, sink.hang)
  let [answered, lost_writes, lost_events] = [0, 0, 0]
  for (let round = 1; round <= options.crash_rounds; round++) {
    const written = new Map<string, Written>()
    let alive = true
    const all = Promise.all(Array.from({ length: writers }, () => keepWriting(command, service_sid, written, () => alive)))
    await sleep(30 + Math.random() * 170)
    await end(command, 'SIGKILL')
    alive = false
    await all
    command = await serve(path)
    await firstAnswer(command)
    const lost = missing(path, written)
    answered += [...written.values()].reduce((sum, { writes }) => sum + writes, 0)
    lost_writes += lost.writes
    lost_events += lost.events
    if (round % 20 === 0) console.error(`crash: round ${round} of ${options.crash_rounds}`)
  }
  await end(command, 'SIGKILL')
  const sound = integrity(path)
  console.log(heading('kill -9'))
  console.log(
    `${options.crash_rounds} rounds, ${answered} answered writes: ${lost_writes} writes and ${lost_events} events lost; file check: ${sound}.`,
  )
  return [
    atMost(`answered writes lost over ${options.crash_rounds} kill -9`, 0, lost_writes),
    atMost('events lost', 0, lost_events),
    atMost('pages of the file found broken', 0, sound === 'ok' ? 0 : 1),
  ]
}

/** Creates a conversation and renames it twice, over and over, until the server is gone. */
async function keepWriting(
  command: Command,
  service_sid: string,
  written: Map<string, Written>,
  alive: () => boolean,
): Promise<void> {
  const path = `/v1/Services/${service_sid}/Conversations`
  try {
    while (alive()) {
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
  } catch (error) {
    // The connection broke: what was asked may or may not be there.
    if (/: [45]\d\d /.test((error as Error).message)) throw error
  }
}

function missing(path: string, written: ReadonlyMap<string, Written>): { writes: number; events: number } {
  const file = new DatabaseFile(path)
  const names = new Map(
    file
      .all<{ sid: string; friendly_name: string }>('select sid, friendly_name from conversations')
      .map((row) => [row.sid, row.friendly_name]),
  )
  const events = new Map(
    file
      .all<{ sid: string; events: number }>('select subject_sid as sid, count(*) as events from deliveries group by subject_sid')
      .map((row) => [row.sid, row.events]),
  )
  const lost = { writes: 0, events: 0 }
  for (const [sid, { friendly_name, asked, writes }] of written) {
    const kept = names.get(sid)
    if (kept !== friendly_name && kept !== asked) lost.writes++
    lost.events += Math.max(0, writes - (events.get(sid) ?? 0))
  }
  file.close()
  return lost
}

function integrity(path: string): string {
  const file = new DatabaseFile(path)
  const [result] = file.all<{ integrity_check: string }>('pragma integrity_check')
  file.close()
  return result?.integrity_check ?? 'no answer'
}
