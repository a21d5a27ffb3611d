import { DatabaseError } from 'pg'
import { type AnyShape, boundValue, type PlainWrite } from '../shapes.ts'

/** What is appended to a query that locks the rows it finds. */
export type Lock = '' | ' for no key update' | ' for key share' | ' for update skip locked'

/** In the form that `pg` takes: a named statement is prepared once for each connection. */
export interface Statement {
  readonly name: string
  readonly text: string
  readonly values: unknown[]
  /** See `prepareAnew`. */
  readonly generation: number
}

/** Part of every name, so that statements can be prepared once more on all connections. */
let generation = 0

/**
 * To be called when the plan of a statement is outdated: a newer version has added a column to its table, and PostgreSQL refuses to run
 * what was prepared before. From now on statements are prepared under other names.
 */
export function prepareAnew(outdated: Statement): void {
  if (outdated.generation === generation) generation++
}

function statement(name: string, text: string, values: unknown[]): Statement {
  return { name: generation === 0 ? name : `${name} ${generation}`, text, values, generation }
}

/** The column of a merged statement that says which of its inputs a row belongs to, counted from 1. */
export const ordinal = '#'

export function single(shape: AnyShape, args: object, lock: Lock = ''): Statement {
  const { sql } = shape.compile('postgres')
  const text = shape.plain?.verb === 'insert' ? `${sql} on conflict do nothing` : sql + lock
  return statement(`${shape.id}${lock}`, text, valuesOf(shape, args))
}

function valuesOf(shape: AnyShape, args: object): unknown[] {
  return shape.compile('postgres').placeholders.map((each) => boundValue(each, args))
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
 * Merges one query with many inputs into one statement: each argument is an array, and the query is run for each of its elements.
 * Undefined when the type of an argument is not known from its values (a null among them).
 */
export function many(shape: AnyShape, inputs: readonly object[], lock: Lock = ''): Statement | undefined {
  const { sql, placeholders } = shape.compile('postgres')
  const values = placeholders.map((each) => ('argument' in each ? inputs.map((args) => boundValue(each, args)) : each.constant))
  const types = placeholders.map((each, i) => ('argument' in each ? typeOf(values[i]) : 'constant'))
  if (types.includes(undefined)) return undefined
  const name = `${shape.id}${lock} many ${types.map((type) => type?.[0]).join('')}`
  const text = kept(name, () => {
    const given = placeholders.flatMap((each, i) => ('argument' in each ? [i] : []))
    const inner = sql.replace(/\$(\d+)/g, (place, n: string) => (given.includes(Number(n) - 1) ? `k.a${n}` : place))
    const arrays = given.map((i) => `$${i + 1}::${types[i]}[]`)
    const columns = given.map((i) => `a${i + 1}`)
    return `select k.n as "${ordinal}", q.* from unnest(${arrays}) with ordinality as k(${columns}, n) cross join lateral (${inner}${lock}) as q`
  })
  return statement(name, text, values)
}

function typeOf(values: unknown): 'text' | 'bigint' | undefined {
  if (!Array.isArray(values)) return undefined
  if (values.every((value) => typeof value === 'string')) return 'text'
  return values.every((value) => typeof value === 'number') ? 'bigint' : undefined
}

/** Types of columns, by `table.column`. */
export type ColumnTypes = ReadonlyMap<string, string>

/**
 * Merges plain writes of one shape into one statement, which returns as `#` those that took effect: the ordinals of updates, of
 * inserts the values of `nameColumn`, because an insert cannot return which of its inputs a row came from. Undefined when no column
 * tells the rows of an insert apart.
 */
export function manyWrites(
  shape: AnyShape,
  plain: PlainWrite,
  all: readonly object[],
  types: ColumnTypes,
): Statement | undefined {
  const name = plain.verb === 'insert' ? nameColumn(plain.columns) : ordinal
  if (name === undefined) return undefined
  const inputs = inputsOf(plain)
  const returned = plain.verb === 'insert' ? `"${name}"` : 'k.n'
  const text = kept(`${shape.id} many`, () => `${writeText(plain, inputs, types, returned)} as "${ordinal}"`)
  return statement(
    `${shape.id} many`,
    text,
    inputs.map((input) => all.map((args) => boundValue(input, args))),
  )
}

/** In the message of the error that a checked write fails with. */
const meanwhile = 'written meanwhile: '

/**
 * Merges plain writes of one shape into one statement that fails unless each of them takes effect: a commit may follow it in the same packet.
 * The text of the error says in the log of the server what has happened.
 */
export function checkedWrites(shape: AnyShape, plain: PlainWrite, all: readonly object[], types: ColumnTypes): Statement {
  const inputs = inputsOf(plain)
  const text = kept(`${shape.id} checked`, () => {
    const checked = `case when count(*) = cardinality($1) then 1 else ('${meanwhile}' || cardinality($1) - count(*))::int end`
    return `with written as (${writeText(plain, inputs, types, '1')}) select ${checked} as "${ordinal}" from written`
  })
  return statement(
    `${shape.id} checked`,
    text,
    inputs.map((input) => all.map((args) => boundValue(input, args))),
  )
}

/** Whether an error is that of a checked write of which one has taken no effect. */
export function isUnchanged(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '22P02' && error.message.includes(meanwhile)
}

function inputsOf(plain: PlainWrite): readonly Input[] {
  return plain.verb === 'insert' ? plain.columns.map(same) : [...plain.changed.map(same), ...plain.key]
}

interface Input {
  readonly column: string
  readonly argument: string
}

const same = (column: string): Input => ({ column, argument: column })

/** `returned`: what the statement returns of each row. */
function writeText(plain: PlainWrite, inputs: readonly Input[], types: ColumnTypes, returned: string): string {
  const arrays = inputs.map(({ column }, i) => `$${i + 1}::${types.get(`${plain.table}.${column}`)}[]`)
  const names = inputs.map((_, i) => `a${i + 1}`)
  const rows = `unnest(${arrays}) with ordinality as k(${names}, n)`
  return `${plain.verb === 'insert' ? insertText(plain, names, rows) : updateText(plain, rows)} returning ${returned}`
}

function insertText({ table, columns }: Extract<PlainWrite, { verb: 'insert' }>, names: string[], rows: string): string {
  const into = `"${table}" (${columns.map((column) => `"${column}"`)})`
  return `insert into ${into} select ${names} from ${rows} order by n on conflict do nothing`
}

/** Returns the column that tells the rows of one insert apart; undefined where no single one does. */
export function nameColumn(columns: readonly string[]): string | undefined {
  return ['sid', 'id', 'name'].find((name) => columns.includes(name))
}

function updateText({ table, key, changed }: Extract<PlainWrite, { verb: 'update' }>, rows: string): string {
  const set = changed.map((column, i) => `"${column}" = k.a${i + 1}`)
  const where = key.map(({ column }, i) => `t."${column}" = k.a${changed.length + i + 1}`)
  return `update "${table}" as t set ${set} from ${rows} where ${where.join(' and ')}`
}

/** Returns what is the same for queries of one shape that ask for the same. */
export function keyOf(shape: AnyShape, args: object, lock: Lock = ''): string {
  return `${shape.id}${lock} ${JSON.stringify(valuesOf(shape, args))}`
}
