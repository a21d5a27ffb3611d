import { sql } from 'kysely'
import type { Reader } from '../storage/database.ts'
import { shape } from '../storage/shapes.ts'

/** A cross join: SQLite keeps its order. */
const unread = shape<{ service_sid: string; identity: string }>()((db, a) =>
  db
    .selectFrom('participants as p')
    .crossJoin('conversations as c')
    .select((eb) => eb.fn.countAll<number>().as('unread'))
    .where('p.service_sid', '=', a.service_sid)
    .where('p.identity', '=', a.identity)
    .where('p.open', '=', sql.lit(1))
    .whereRef('c.service_sid', '=', 'p.service_sid')
    .whereRef('c.sid', '=', 'p.conversation_sid')
    .where((eb) => eb('c.last_message_index', '>', eb.fn.coalesce('p.last_read_message_index', sql.lit(-1)))),
)

/** Returns in how many open conversations somebody has unread messages. One without a read horizon counts if it has any (inferred). */
export async function unreadConversations(read: Reader, service_sid: string, identity: string): Promise<number> {
  return Number((await read.one(unread, { service_sid, identity }))?.unread ?? 0)
}
