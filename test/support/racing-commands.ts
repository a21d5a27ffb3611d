import { sql } from 'kysely'
import { refuse } from '../../src/errors.ts'
import type { Hold, Tx } from '../../src/storage/database.ts'
import { deleteRow, insert, rowsBy, updateRow } from '../../src/storage/rows.ts'
import { shape } from '../../src/storage/shapes.ts'

const bySid = rowsBy('removals', ['sid'])
const byService = rowsBy('removals', ['service_sid'])
const byBoth = rowsBy('removals', ['service_sid', 'sid'])
const byJoin = shape<{ sid: string }>()((db, a) => db.selectFrom('removals').selectAll().where('sid', '=', a.sid).orderBy('sid'))
const due = shape<{ sid: string }>()((db, a) => db.selectFrom('removals').selectAll().where('sid', '=', a.sid))
const byName = rowsBy('installation', ['name'])
/** All marks there are. */
export const marks = shape<{ none?: null }>()((db) => db.selectFrom('installation').selectAll().orderBy('name'))
/** All rows that are counted in. */
export const counters = shape<{ none?: null }>()((db) => db.selectFrom('removals').selectAll().orderBy('sid'))
const recount = updateRow('removals', ['sid', 'date_created'], ['date_created'])
const recountBySid = updateRow('removals', ['sid'], ['date_created'])
const increment = shape<{ sid: string }>()((db, a) =>
  db.updateTable('removals').set({ date_created: sql`date_created + 1` }).where('sid', '=', a.sid),
)
const remove = deleteRow('removals', ['sid'])
const touch = updateRow('installation', ['name'], ['value'])

/** How a row is found. */
export const finds = ['sid', 'service', 'both', 'other'] as const
type Find = (typeof finds)[number]

/** One thing that a command does. */
export type Step =
  | { readonly do: 'hold'; readonly sid: string; readonly by: Find; readonly how: Hold }
  | { readonly do: 'count'; readonly sid: string; readonly by: Find; readonly way: 'must' | 'run' | 'blind' | 'database' }
  | { readonly do: 'beside'; readonly sid: string; readonly mark: string }
  | { readonly do: 'mark'; readonly mark: string }
  | { readonly do: 'read' | 'claim' | 'remove' | 'make' | 'touch'; readonly sid: string }
  | { readonly do: 'refuse' | 'fail' }
  | { readonly do: 'fork'; readonly branches: readonly (readonly Step[])[] }

/** What a command has counted, by row: null where there was none. */
export type Counted = readonly (readonly [sid: string, value: number | null])[]

function find(tx: Tx, sid: string, by: Find, how: Hold) {
  const service_sid = `of ${sid}`
  if (by === 'sid') return tx.hold(bySid, { sid }, how)
  if (by === 'service') return tx.hold(byService, { service_sid }, how)
  return by === 'both' ? tx.hold(byBoth, { service_sid, sid }, how) : tx.hold(byJoin, { sid }, how)
}

async function count(tx: Tx, { sid, by, way }: Extract<Step, { do: 'count' }>): Promise<number | null> {
  const row = await find(tx, sid, by, 'change')
  if (!row) return null
  const counted = { ...row, date_created: row.date_created + 1 }
  if (way === 'must') await tx.must(recount, { ...counted, was_date_created: row.date_created })
  if (way === 'run') await tx.run(recountBySid, counted)
  if (way === 'blind') await tx.must(recountBySid, counted)
  if (way === 'database') await tx.run(increment, { sid })
  return counted.date_created
}

async function play(tx: Tx, steps: readonly Step[]): Promise<Counted> {
  const counted: (readonly [string, number | null])[] = []
  for (const step of steps) {
    if (step.do === 'hold') await find(tx, step.sid, step.by, step.how)
    if (step.do === 'count') counted.push([step.sid, await count(tx, step)])
    if (step.do === 'read') await tx.one(bySid, step)
    if (step.do === 'claim') await tx.claim(due, step)
    if (step.do === 'beside') await tx.hold(bySid, step, 'keep')
    if (step.do === 'beside' || step.do === 'mark') await insert(tx, 'installation', { name: step.mark, value: '' })
    if (step.do === 'touch') {
      const row = await tx.hold(byName, { name: step.sid }, 'change')
      if (row) await tx.run(touch, { ...row, value: `${Number(row.value) + 1}` })
    }
    if (step.do === 'remove' && (await tx.hold(bySid, step, 'change'))) await tx.run(remove, step)
    if (step.do === 'make' && !(await tx.hold(bySid, step, 'change'))) {
      await insert(tx, 'removals', { sid: step.sid, service_sid: `of ${step.sid}`, date_created: 0 })
    }
    if (step.do === 'refuse') throw refuse('uniqueNameTaken')
    if (step.do === 'fail') throw new Error('out of luck')
    if (step.do === 'fork') counted.push(...(await Promise.all(step.branches.map((branch) => play(tx, branch)))).flat())
  }
  return counted
}

/** A command that does what it is told. */
export const commands = {
  play,
}

export type RacingCommands = typeof commands
