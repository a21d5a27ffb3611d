import { sql } from 'kysely'
import { isSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { type Builder, shape } from '../storage/shapes.ts'

/** No index has the SID of a conversation or a user alone: their key is asked for in so many services at a time, and in all. */
const servicesAtOnce = 500
const maxServices = 20_000

interface WindowArgs {
  readonly after: string
  readonly sid: string
}

function someServices(db: Builder, a: WindowArgs) {
  return db.selectFrom('services').select('sid').where('sid', '>', a.after).orderBy('sid').limit(sql.lit(servicesAtOnce))
}

const lastOfWindow = shape<WindowArgs>()((db, a) =>
  db.selectFrom(someServices(db, a).as('window')).select((eb) => eb.fn.max<string | null>('window.sid').as('sid')),
)

const inWindows = {
  conversations: shape<WindowArgs>()((db, a) =>
    db
      .selectFrom(someServices(db, a).as('window'))
      // SQLite goes through a cross join in this order.
      .crossJoin('conversations as c')
      .select(['c.account_sid', 'c.service_sid'])
      .whereRef('c.service_sid', '=', 'window.sid')
      .where('c.sid', '=', a.sid)
      .limit(1),
  ),
  users: shape<WindowArgs>()((db, a) =>
    db
      .selectFrom(someServices(db, a).as('window'))
      .crossJoin('users as u')
      .select(['u.account_sid', 'u.service_sid'])
      .whereRef('u.service_sid', '=', 'window.sid')
      .where('u.sid', '=', a.sid)
      .limit(1),
  ),
} as const

/** Finds a conversation whose service is not known. */
export function findConversation(read: Reader, sid: string) {
  return findIn(read, 'conversations', sid)
}

/** Returns the account of a conversation or a user; null when there is none. */
export async function findAccount(read: Reader, sid: string): Promise<string | null> {
  return (await findIn(read, isSid('user', sid) ? 'users' : 'conversations', sid))?.account_sid ?? null
}

async function findIn(read: Reader, table: keyof typeof inWindows, sid: string) {
  let after = ''
  for (let looked = 0; looked < maxServices; looked += servicesAtOnce) {
    const [found, last] = await Promise.all([read.one(inWindows[table], { after, sid }), read.one(lastOfWindow, { after, sid })])
    if (found || !last?.sid) return found
    after = last.sid
  }
  return undefined
}
