import type { AnyShape, Place, PlainWrite } from '../shapes.ts'

/** What may follow a query to say what becomes of the rows it finds. */
export type Lock = '' | ' for no key update' | ' for key share' | ' for update skip locked'

type Args = Readonly<Record<string, unknown>>

/** As `pg` takes it: a statement with a name is prepared once for each connection. */
export interface Statement {
  readonly name: string
  readonly text: string
  readonly values: unknown[]
}

/** Of a statement for many: which of them a row belongs to, counted from 1. */
export const ordinal = '#'

export function single(shape: AnyShape, args: Args, lock: Lock = ''): Statement {
  const { sql, places } = shape.compile('postgres')
  const text = shape.plain?.verb === 'insert' ? `${sql} on conflict do nothing` : sql + lock
  return { name: `${shape.id}${lock}`, text, values: places.map((place) => valueAt(place, args)) }
}

function valueAt(place: Place, args: Args): unknown {
  return 'argument' in place ? args[place.argument] : place.constant
}

const texts = new Map<string, string>()

function kept(name: string, make: () => string): string {
  let text = texts.get(name)
  if (text === undefined) {
    text = make()
    texts.set(name, text)
  }
  return text
}

/**
 * The same query for many arguments as one statement: each argument is an array, and the query is run for each of its places.
 * Undefined when the arguments cannot be told apart by type (a null among them).
 */
export function many(shape: AnyShape, all: readonly Args[], lock: Lock = ''): Statement | undefined {
  const { sql, places } = shape.compile('postgres')
  const types = places.map((place) => ('argument' in place ? typeOf(all, place.argument) : 'constant'))
  if (types.includes(undefined)) return undefined
  const name = `${shape.id}${lock} many ${types.map((type) => type?.[0]).join('')}`
  const text = kept(name, () => {
    const given = places.flatMap((place, i) => ('argument' in place ? [i] : []))
    const inner = sql.replace(/\$(\d+)/g, (place, n: string) => (given.includes(Number(n) - 1) ? `k.a${n}` : place))
    const arrays = given.map((i) => `$${i + 1}::${types[i]}[]`)
    const columns = given.map((i) => `a${i + 1}`)
    return `select k.n as "${ordinal}", q.* from unnest(${arrays}) with ordinality as k(${columns}, n) cross join lateral (${inner}${lock}) as q`
  })
  const values = places.map((place) => ('argument' in place ? all.map((args) => args[place.argument]) : place.constant))
  return { name, text, values }
}

function typeOf(all: readonly Args[], argument: string): 'text' | 'bigint' | undefined {
  const type = typeof all[0]?.[argument]
  if (type !== 'string' && type !== 'number') return undefined
  if (all.some((args) => typeof args[argument] !== type)) return undefined
  return type === 'string' ? 'text' : 'bigint'
}

/** Types of columns, by `table.column`. */
export type ColumnTypes = ReadonlyMap<string, string>

/** Many plain writes of one kind as one statement, which answers the `#` of those that took effect. */
export function manyWrites(shape: AnyShape, plain: PlainWrite, all: readonly Args[], types: ColumnTypes): Statement {
  const inputs = plain.verb === 'insert' ? plain.columns.map(same) : [...plain.changed.map(same), ...plain.key]
  const text = kept(`${shape.id} many`, () => {
    const arrays = inputs.map(({ column }, i) => `$${i + 1}::${types.get(`${plain.table}.${column}`)}[]`)
    const names = inputs.map((_, i) => `a${i + 1}`)
    const rows = `unnest(${arrays}) with ordinality as k(${names}, n)`
    return plain.verb === 'insert' ? insertText(plain, names, rows) : updateText(plain, rows)
  })
  return {
    name: `${shape.id} many`,
    text,
    values: inputs.map(({ argument }) => all.map((args) => args[argument])),
  }
}

const same = (column: string) => ({ column, argument: column })

/** Its rows are told apart by what they are called: an insert cannot answer which of its inputs a row came from. */
function insertText({ table, columns }: Extract<PlainWrite, { verb: 'insert' }>, names: string[], rows: string): string {
  const into = `"${table}" (${columns.map((column) => `"${column}"`)})`
  return `insert into ${into} select ${names} from ${rows} order by n on conflict do nothing returning "${nameColumn(columns)}" as name`
}

/** The column that tells rows of one insert apart. */
export function nameColumn(columns: readonly string[]): string {
  return ['sid', 'id', 'name'].find((column) => columns.includes(column)) as string
}

function updateText({ table, key, changed }: Extract<PlainWrite, { verb: 'update' }>, rows: string): string {
  const set = changed.map((column, i) => `"${column}" = k.a${i + 1}`)
  const where = key.map(({ column }, i) => `t."${column}" = k.a${changed.length + i + 1}`)
  return `update "${table}" as t set ${set} from ${rows} where ${where.join(' and ')} returning k.n as "${ordinal}"`
}
