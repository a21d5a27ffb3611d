import { sql } from 'kysely'
import { refuse } from '../../src/errors.ts'
import type { Tx } from '../../src/storage/database.ts'
import { insert, insertRow, rowsBy, updateRow } from '../../src/storage/rows.ts'
import type { MailBlockRow } from '../../src/storage/schema.ts'
import { shape } from '../../src/storage/shapes.ts'

const byName = rowsBy('installation', ['name'])
const blockByAddress = rowsBy('mail_blocks', ['account_sid', 'address'])
const removalBySid = rowsBy('removals', ['sid'])
const removalByBoth = rowsBy('removals', ['service_sid', 'sid'])
const recount = updateRow('removals', ['sid', 'date_created'], ['date_created'])
const increment = shape<{ sid: string }>()((db, a) =>
  db.updateTable('removals').set({ date_created: sql`date_created + 1` }).where('sid', '=', a.sid),
)
const recountBlock = updateRow('mail_blocks', ['account_sid', 'address'], ['error_code'])

/** All rows of a table that no single column names. */
export const blocksOf = rowsBy('mail_blocks', ['account_sid'])

/** A query whose column is misspelt. */
export const misspelt = shape<{ name: string }>()((db, a) =>
  db.selectFrom('installation').selectAll().where(sql`nmae`, '=', a.name),
)

/** All rows there are, in the order of their names. */
export const everything = shape<{ none?: null }>()((db) => db.selectFrom('installation').selectAll().orderBy('name'))

interface Put {
  readonly name: string
  readonly value: string
}

async function put(tx: Tx, input: Put): Promise<void> {
  await tx.run(insertRow('installation', ['name', 'value']), { ...input })
  tx.notify({ topic: 'changed', table: 'installation', sid: input.name, revision: 1 })
}

/** Waits for the database three times. */
async function roundTrips(tx: Tx): Promise<void> {
  for (let i = 0; i < 3; i++) await tx.hold(byName, { name: 'nobody' }, 'change')
}

/** A small registry, as the program's own: the writer thread imports it. */
export const commands = {
  put,

  /** How many rows there are, from inside the transaction. */
  async count(tx: Tx, _input: null): Promise<number> {
    return (await tx.all(everything, {})).length
  },

  /** Several rows in one command. */
  async putAll(tx: Tx, input: readonly Put[]): Promise<void> {
    for (const each of input) await put(tx, each)
  },

  /** Refuses before it writes. */
  async putOnce(tx: Tx, input: Put): Promise<string> {
    if (await tx.one(byName, { name: input.name })) throw refuse('uniqueNameTaken')
    await put(tx, input)
    return input.value
  },

  /** Refuses after it has written. */
  async putThenRefuse(tx: Tx, input: Put): Promise<void> {
    await put(tx, input)
    throw refuse('notFound', { path: `/${input.name}` })
  },

  async putThenFail(tx: Tx, input: Put): Promise<void> {
    await put(tx, input)
    throw new Error(`out of luck with ${input.name}`)
  },

  /** Has a defect that shows before anything is written. */
  async trip(_tx: Tx, _input: Put): Promise<void> {
    const rule: { check?: () => void } = {}
    // @ts-expect-error: the defect
    rule.check()
  },

  /** Has one that shows afterwards. */
  async putThenTrip(tx: Tx, input: Put): Promise<void> {
    await put(tx, input)
    await commands.trip(tx, input)
  },

  /** Has one in a query. */
  async putThenMisspell(tx: Tx, input: Put): Promise<void> {
    await put(tx, input)
    await tx.one(misspelt, { name: input.name })
  },

  /** Throws an error that quotes its input. */
  async misread(_tx: Tx, input: Put): Promise<void> {
    JSON.parse(input.value)
  },

  /** Inserts a row that no single column names. */
  async block(tx: Tx, row: MailBlockRow): Promise<void> {
    await insert(tx, 'mail_blocks', row)
  },

  /** Locks such a row and changes it. */
  async countBlock(tx: Tx, key: Pick<MailBlockRow, 'account_sid' | 'address'>): Promise<number> {
    const row = await tx.hold(blockByAddress, key, 'change')
    if (!row) throw new Error('there is no such row')
    await tx.run(recountBlock, { ...row, error_code: row.error_code + 1 })
    return row.error_code + 1
  },

  /** Inserts a row and finds it. */
  async startCount(tx: Tx, key: { readonly sid: string; readonly service_sid: string }): Promise<boolean> {
    await tx.one(removalBySid, { sid: key.sid })
    await insert(tx, 'removals', { ...key, date_created: 0 })
    return (await tx.one(removalBySid, { sid: key.sid })) !== undefined
  },

  /** Counts one up in a row with a SID, in one of several ways; returns what it is then. */
  async countUp(tx: Tx, { sid, by, way }: { readonly sid: string; readonly by: 'sid' | 'service_sid'; readonly way: string }) {
    if (way === 'read first') await tx.one(removalBySid, { sid })
    const find = () =>
      by === 'sid'
        ? tx.hold(removalBySid, { sid }, 'change')
        : tx.hold(removalByBoth, { service_sid: `of ${sid}`, sid }, 'change')
    const row = await find()
    if (!row) throw new Error('there is no such row')
    if (way === 'in the database') await tx.run(increment, { sid })
    else await tx.must(recount, { ...row, date_created: row.date_created + 1, was_date_created: row.date_created })
    if (way === 'read again') return (await tx.one(removalBySid, { sid }))?.date_created
    return way === 'in the database' ? (await find())?.date_created : row.date_created + 1
  },

  /** Reads a row without a lock. */
  async glance(tx: Tx, { name }: { readonly name: string }): Promise<string | undefined> {
    return (await tx.one(byName, { name }))?.value
  },

  /** Locks one row and then reads another, which only changes under that lock. */
  async readLocked(tx: Tx, { sid, name }: { readonly sid: string; readonly name: string }): Promise<string | undefined> {
    await tx.hold(removalBySid, { sid }, 'change')
    return (await tx.one(byName, { name }))?.value
  },

  /** Reads all rows, some round trips later. */
  async countLate(tx: Tx, _input: null): Promise<number> {
    await roundTrips(tx)
    return (await tx.all(everything, {})).length
  },

  /** Adds a row while another one is kept from changing. */
  async putBeside(tx: Tx, { sid, ...row }: Put & { readonly sid: string }): Promise<void> {
    await roundTrips(tx)
    await tx.hold(removalBySid, { sid }, 'keep')
    await insert(tx, 'installation', row)
  },

  /** Locks a row against those that add others beside it, and counts these. */
  async countBeside(tx: Tx, { sid }: { readonly sid: string }): Promise<number> {
    await roundTrips(tx)
    await tx.hold(removalBySid, { sid }, 'change')
    return (await tx.all(everything, {})).length
  },

  /** Is refused while something else that it does goes on: locks a row and writes. */
  async refuseMeanwhile(tx: Tx, { sid, ...row }: Put & { readonly sid: string }): Promise<void> {
    const refused = async () => {
      await tx.one(byName, { name: 'nobody' })
      throw refuse('notFound', { path: '/' })
    }
    const others = async () => {
      await tx.one(byName, { name: 'nobody' })
      await tx.hold(removalBySid, { sid }, 'change')
      await roundTrips(tx)
      await put(tx, row)
    }
    await Promise.all([refused(), others()])
  },

  /** Takes the whole writer thread down, as running out of memory would. */
  async breakDown(_tx: Tx, _input: null): Promise<void> {
    setImmediate(() => {
      throw new Error('the thread is gone')
    })
    await new Promise<void>(() => {})
  },
}

export type TestCommands = typeof commands
