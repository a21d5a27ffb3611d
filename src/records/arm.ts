import type { Tx } from '../storage/database.ts'
import { shape } from '../storage/shapes.ts'

interface Range {
  readonly service_sid: string
  readonly after: string
}

const conversationsAfter = shape<Range & { max: number }>()((db, a) =>
  db
    .selectFrom('conversations')
    .select('sid')
    .where('service_sid', '=', a.service_sid)
    .where('sid', '>', a.after)
    .orderBy('sid')
    .limit(a.max),
)

/** Conversations whose timers stand still since they were imported. */
const arm = shape<Range & { last: string }>()((db, a) =>
  db
    .updateTable('conversations')
    .set((eb) => ({
      next_due: eb
        .case()
        .when(eb.or([eb('date_closed', 'is', null), eb('date_inactive', '<=', eb.ref('date_closed'))]))
        .then(eb.fn.coalesce('date_inactive', 'date_closed'))
        .else(eb.ref('date_closed'))
        .end(),
    }))
    .where('service_sid', '=', a.service_sid)
    .where('sid', '>', a.after)
    .where('sid', '<=', a.last)
    .where('next_due', 'is', null)
    .where((eb) => eb.or([eb('date_inactive', 'is not', null), eb('date_closed', 'is not', null)])),
)

/** How many timers were started, and the conversation behind which it goes on; null when there are no more. */
export interface Armed {
  readonly started: number
  readonly next_after: string | null
}

/**
 * Starts the timers of imported conversations of a service: of as many conversations as `max`, from behind a SID on. Those that are
 * overdue fire next, as any others would.
 */
export async function armTimers(tx: Tx, { service_sid, after, max }: Range & { readonly max: number }): Promise<Armed> {
  const sids = await tx.all(conversationsAfter, { service_sid, after, max })
  const last = sids.at(-1)?.sid
  if (last === undefined) return { started: 0, next_after: null }
  const started = await tx.run(arm, { service_sid, after, last })
  if (started > 0) tx.notify({ topic: 'due', at: 0 })
  return { started, next_after: sids.length < max ? null : last }
}
