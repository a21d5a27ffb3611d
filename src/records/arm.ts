import type { Tx } from '../storage/database.ts'
import { shape } from '../storage/shapes.ts'

/** Conversations whose timers stand still since they were imported. */
const arm = shape<{ service_sid: string; max: number }>()((db, a) =>
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
    .where('next_due', 'is', null)
    .where('sid', 'in', (eb) =>
      eb
        .selectFrom('conversations')
        .select('sid')
        .where('service_sid', '=', a.service_sid)
        .where('next_due', 'is', null)
        .where((or) => or.or([or('date_inactive', 'is not', null), or('date_closed', 'is not', null)]))
        .limit(a.max),
    ),
)

/**
 * Starts the timers of imported conversations of a service, as many as `max`. Those that are overdue fire next, as any others would.
 * Returns how many; fewer than `max` when it is done.
 */
export async function armTimers(tx: Tx, { service_sid, max }: { service_sid: string; max: number }): Promise<number> {
  const armed = await tx.run(arm, { service_sid, max })
  if (armed > 0) tx.notify({ topic: 'due', at: 0 })
  return armed
}
