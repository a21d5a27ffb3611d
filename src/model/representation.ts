/*
 * Representations that are declared key by key, so that their JSON text can be written straight from the columns of a row.
 *
 * Measured (Node 26, a page of 50 conversations, in µs of CPU): the object of each row and `JSON.stringify` 112 in groups of five,
 * 86 for the page as one; text put together by a function that is compiled for the representation 50, of which 18 are for escaping.
 * A loop over the keys that calls a function for each takes 97: hence the compiled function.
 *
 * The slow twin is the object itself, of which `JSON.stringify` must give the same text: `representation.test.ts`.
 */
import { seconds, secondsOrNull } from '../dates.ts'

/** Bases of the urls in a response. */
export interface Urls {
  /** Public base including `/v1`. */
  readonly root: string
  /** Base of the family that the caller used: `root`, or `…/Services/IS…`. */
  readonly family: string
}

/** How the value of a key is made of a row `Row`. */
export interface Field<Row> {
  /** The columns that it is made of. */
  readonly columns: readonly string[]
  readonly value: (row: Row, self: string, urls: Urls) => unknown
  /** An expression for its JSON text, over `row`, `self`, `family`, `helpers` and `value`, the function above. */
  readonly code: string
  /** The key is only in responses of the service family. */
  readonly onlyInService?: true
}

/** Writes the JSON text of a row. `self`: its url; `family`: see `Urls`. Both are escaped for a JSON string. */
export type Writer<Row> = (row: Row, self: string, family: string) => string

/** A representation that is declared key by key. */
export interface Declared<Row> {
  /** All columns that it is made of. */
  readonly columns: readonly string[]
  /** Returns the writer of a family, compiled at its first use. */
  readonly writer: (family: 'default' | 'service') => Writer<Row>
}

/** Returns the family that urls are of. */
export function familyOfUrls(urls: Urls): 'default' | 'service' {
  return urls.family === urls.root ? 'default' : 'service'
}

/** What compiled code calls. */
const helpers = {
  seconds,
  text: (value: string | null) => (value === null ? 'null' : JSON.stringify(value)),
  date: (value: number | null) => (value === null ? 'null' : `"${seconds(value)}"`),
  presentDates(keys: readonly string[], values: readonly (number | null)[]): string {
    let json = ''
    for (const [i, key] of keys.entries()) {
      const value = values[i] ?? null
      if (value !== null) json += `${json === '' ? '' : ','}"${key}":"${seconds(value)}"`
    }
    return `{${json}}`
  },
}

/** Columns as they are, by what they hold. */
export const column = {
  /** Text that nothing in JSON escapes: SIDs, and words of a closed set. */
  word: <C extends string>(name: C): Field<Readonly<Record<C, string>>> => ({
    columns: [name],
    value: (row) => row[name],
    code: `'"' + row.${name} + '"'`,
  }),
  text: <C extends string>(name: C): Field<Readonly<Record<C, string | null>>> => ({
    columns: [name],
    value: (row) => row[name],
    code: `helpers.text(row.${name})`,
  }),
  integer: <C extends string>(name: C): Field<Readonly<Record<C, number | null>>> => ({
    columns: [name],
    value: (row) => row[name],
    code: `row.${name}`,
  }),
  /** An instant, in whole seconds. */
  date: <C extends string>(name: C): Field<Readonly<Record<C, number | null>>> => ({
    columns: [name],
    value: (row) => secondsOrNull(row[name]),
    code: `helpers.date(row.${name})`,
  }),
}

/** An object of the dates that are not null: the columns of its keys. */
export function presentDates<K extends string, C extends string>(
  columns: Readonly<Record<K, C>>,
): Field<Readonly<Record<C, number | null>>> {
  const all = Object.entries<C>(columns)
  const keys = all.map(([key]) => key)
  return {
    columns: all.map(([, name]) => name),
    value: (row) =>
      Object.fromEntries(all.flatMap(([key, name]) => (row[name] === null ? [] : [[key, secondsOrNull(row[name])] as const]))),
    code: `helpers.presentDates(${JSON.stringify(keys)}, [${all.map(([, name]) => `row.${name}`)}])`,
  }
}

/** A value that a function makes of some columns. Where all of them are null, it is `whenNull`: most rows have none of these. */
export function computed<Row>(
  columns: readonly (keyof NoInfer<Row> & string)[],
  of: (row: Row) => unknown,
  whenNull: 'null' | '{}',
): Field<Row> {
  const allNull = columns.map((name) => `row.${name} === null`).join(' && ')
  return { columns, value: of, code: `(${allNull} ? '${whenNull}' : JSON.stringify(value(row)))` }
}

/** A key that only responses of the service family have. */
export function onlyInService<Row>(field: Field<Row>): Field<Row> {
  return { ...field, onlyInService: true }
}

/** The url of the row. */
export const selfUrl: Field<unknown> = { columns: [], value: (_row, self) => self, code: `'"' + self + '"'` }

/** Urls of what is below the row, by key: the last segments of their paths. */
export function links<K extends string>(paths: Readonly<Record<K, string>>): Field<unknown> {
  const all: readonly (readonly [string, string])[] = Object.entries(paths)
  return {
    columns: [],
    value: (_row, self) => Object.fromEntries(all.map(([key, path]) => [key, `${self}/${path}`])),
    code: `'{${all.map(([key, path]) => `"${key}":"' + self + '/${path}"`).join(',')}}'`,
  }
}

/** Urls of rows that are not below this one, by key, of texts and of columns with SIDs, below the base of the family. */
export function linksOfFamily<C extends string>(
  paths: Readonly<Record<string, readonly (string | { readonly column: C })[]>>,
): Field<Readonly<Record<C, string>>> {
  const all = Object.entries(paths)
  const columns = all.flatMap(([, parts]) => parts.flatMap((part) => (typeof part === 'string' ? [] : [part.column])))
  const codeOf = (parts: readonly (string | { readonly column: C })[]) =>
    parts.map((part) => (typeof part === 'string' ? `'${part}'` : `row.${part.column}`)).join(' + ')
  const members = all.map(([key, parts], i) => `'${i === 0 ? '' : ','}"${key}":"' + family + ${codeOf(parts)} + '"'`)
  return {
    columns,
    value: (row, _self, { family }) =>
      Object.fromEntries(
        all.map(([key, parts]) => [
          key,
          family + parts.map((part) => (typeof part === 'string' ? part : row[part.column])).join(''),
        ]),
      ),
    code: `'{' + ${members.join(' + ')} + '}'`,
  }
}

/** A JSON object with keys named after columns, and those that the declaration adds. */
export type Representation<Row, Key extends string, Value = unknown> = {
  readonly [K in keyof Row | Key | 'url' | 'links' | 'chat_service_sid']?: Value
}

/** Returns the JSON object of a row. `self`: its url. */
export interface Represent<Row, Key extends string> extends Partial<Declared<Row>> {
  (row: Row, self: string, urls: Urls): Representation<Row, Key>
}

/**
 * Declares a representation, keys in the order of the response: `representation<Row>()({ sid: column.word('sid') })`. `Key`: keys that
 * are no columns. The compiled code contains names of keys and columns, which are words of the declaration.
 */
export function representation<Row, Key extends string = 'sid'>() {
  return (fields: Representation<Row, Key, Field<Row>>): Represent<Row, Key> => {
    const all = Object.entries<Field<Row> | undefined>(fields).flatMap(([key, field]) => (field ? [[key, field] as const] : []))
    const fieldsIn = (family: 'default' | 'service') => all.filter(([, field]) => family === 'service' || !field.onlyInService)
    const represent = (row: Row, self: string, urls: Urls): Representation<Row, Key> => {
      const entries = fieldsIn(familyOfUrls(urls)).map(([key, field]) => [key, field.value(row, self, urls)] as const)
      // Its keys are those of `fields`.
      return Object.fromEntries(entries) as Representation<Row, Key>
    }
    const writers = new Map<string, Writer<Row>>()
    const declared: Declared<Row> = {
      columns: [...new Set(all.flatMap(([, { columns }]) => columns))],
      writer(family) {
        const writer = writers.get(family) ?? compile(fieldsIn(family))
        writers.set(family, writer)
        return writer
      },
    }
    return Object.assign(represent, declared)
  }
}

/** Returns the function that writes these fields: one expression, without a loop. */
function compile<Row>(fields: readonly (readonly [string, Field<Row>])[]): Writer<Row> {
  const members = fields.map(
    ([key, { code }], i) => `'${i === 0 ? '' : ','}"${key}":' + ${code.replace('value(row)', `values[${i}](row)`)}`,
  )
  // No input is in the code, only names of the declaration.
  const make = new Function('helpers', 'values', `return (row, self, family) => '{' + ${members.join(' + ')} + '}'`)
  return make(
    helpers,
    fields.map(([, { value }]) => value),
  )
}
