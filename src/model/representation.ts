/*
 * Representations that are declared key by key, so that their JSON text can be written straight from the columns of a row.
 *
 * Measured (Node 26, a page of 50 conversations as the driver returns them, to the flat text, in µs of CPU): `JSON.stringify` of the
 * page as objects that are there already 34; one expression of 75 pieces for each row, five rows joined at a time 88, all as one sum 55;
 * of 45 pieces, since all that is the same in each row of a page is one constant between two values 46. Of these, 21 are
 * `JSON.stringify` for texts. An array of the pieces that is joined takes 20 more, bytes that are written row by row 12.
 * The objects of the rows and `JSON.stringify` take 112, a loop over the keys 97: hence compiled functions.
 *
 * The slow twin is the object itself, of which `JSON.stringify` must give the same text: `resources/representation.test.ts`.
 */
import { quotedSeconds, secondsOrNull } from '../dates.ts'

/** Bases of the urls in a response. */
export interface Urls {
  /** Public base including `/v1`. */
  readonly root: string
  /** Base of the family that the caller used: `root`, or `…/Services/IS…`. */
  readonly family: string
}

/**
 * A piece of the JSON text of a value: JSON as it is; a column that holds what nothing escapes; a url; or an expression over `row`,
 * `helpers` and `value`, the function of the field.
 */
type Piece = string | { readonly word: string } | { readonly url: 'self' | 'family' } | { readonly code: string }

/** How the value of a key is made of a row `Row`. */
export interface Field<Row> {
  /** The columns that it is made of. */
  readonly columns: readonly string[]
  readonly value: (row: Row, self: string, urls: Urls) => unknown
  readonly pieces: readonly Piece[]
  /** The key is only in responses of the service family. */
  readonly onlyInService?: true
}

/** What all rows of a page have in common. */
export interface Common {
  /** The url of their collection, escaped for a JSON string. */
  readonly collection: string
  /** The base of the family, see `Urls`, escaped as well. */
  readonly family: string
  /** SIDs by the columns that a row need not have, since all have these. */
  readonly scope: Readonly<Record<string, string>>
}

/** Writes the JSON text of a row. */
export type Writer<Row> = (row: Row) => string

/** A representation that is declared key by key. */
export interface Declared<Row> {
  /** All columns that it is made of. */
  readonly columns: readonly string[]
  /** Returns the writer for the rows of a page. It is compiled at the first use of a family and of names of scope columns. */
  readonly writer: (family: 'default' | 'service', common: Common) => Writer<Row>
}

/** Returns the family that urls are of. */
export function familyOfUrls(urls: Urls): 'default' | 'service' {
  return urls.family === urls.root ? 'default' : 'service'
}

/** What compiled code calls. */
const helpers = {
  text: (value: string | null) => (value === null ? 'null' : JSON.stringify(value)),
  date: (value: number | null) => (value === null ? 'null' : quotedSeconds(value)),
}

/** Columns as they are, by what they hold. */
export const column = {
  /** Text that nothing in JSON escapes: SIDs, and words of a closed set. */
  word: <C extends string>(name: C): Field<Readonly<Record<C, string>>> => ({
    columns: [name],
    value: (row) => row[name],
    pieces: ['"', { word: name }, '"'],
  }),
  text: <C extends string>(name: C): Field<Readonly<Record<C, string | null>>> => ({
    columns: [name],
    value: (row) => row[name],
    pieces: [{ code: `helpers.text(row.${name})` }],
  }),
  integer: <C extends string>(name: C): Field<Readonly<Record<C, number | null>>> => ({
    columns: [name],
    value: (row) => row[name],
    pieces: [{ code: `row.${name}` }],
  }),
  /** 1 for true, 0 for false. */
  flag: <C extends string>(name: C): Field<Readonly<Record<C, number | null>>> => ({
    columns: [name],
    value: (row) => (row[name] === null ? null : row[name] === 1),
    pieces: [{ code: `(row.${name} === null ? 'null' : row.${name} === 1)` }],
  }),
  /** An instant, in whole seconds. */
  date: <C extends string>(name: C): Field<Readonly<Record<C, number | null>>> => ({
    columns: [name],
    value: (row) => secondsOrNull(row[name]),
    pieces: [{ code: `helpers.date(row.${name})` }],
  }),
}

/** An object of the dates that are not null: the columns of its keys. */
export function presentDates<K extends string, C extends string>(
  columns: Readonly<Record<K, C>>,
): Field<Readonly<Record<C, number | null>>> {
  const all = Object.entries<C>(columns)
  const names = all.map(([, name]) => name)
  const members = all.map(([key, name], i): Piece => {
    const first = ['true', ...names.slice(0, i).map((other) => `row.${other} === null`)].join(' && ')
    return { code: `(row.${name} === null ? '' : (${first} ? '' : ',') + '"${key}":' + helpers.date(row.${name}))` }
  })
  return {
    columns: names,
    value: (row) =>
      Object.fromEntries(all.flatMap(([key, name]) => (row[name] === null ? [] : [[key, secondsOrNull(row[name])] as const]))),
    pieces: ['{', ...members, '}'],
  }
}

/** A value that a function makes of some columns. Where all of them are null, it is `whenNull`: most rows have none of these. */
export function computed<Row>(
  columns: readonly (keyof NoInfer<Row> & string)[],
  of: (row: Row) => unknown,
  whenNull: 'null' | '{}',
): Field<Row> {
  const allNull = columns.map((name) => `row.${name} === null`).join(' && ')
  return { columns, value: of, pieces: [{ code: `(${allNull} ? '${whenNull}' : JSON.stringify(value(row)))` }] }
}

/** A key that only responses of the service family have. */
export function onlyInService<Row>(field: Field<Row>): Field<Row> {
  return { ...field, onlyInService: true }
}

/** The url of the row. */
export const selfUrl: Field<unknown> = { columns: [], value: (_row, self) => self, pieces: ['"', { url: 'self' }, '"'] }

/** Urls of what is below the row, by key: the last segments of their paths. */
export function links<K extends string>(paths: Readonly<Record<K, string>>): Field<unknown> {
  const all: readonly (readonly [string, string])[] = Object.entries(paths)
  return {
    columns: [],
    value: (_row, self) => Object.fromEntries(all.map(([key, path]) => [key, `${self}/${path}`])),
    pieces: [
      '{',
      ...all.flatMap(([key, path], i): Piece[] => [`${i === 0 ? '' : ','}"${key}":"`, { url: 'self' }, `/${path}"`]),
      '}',
    ],
  }
}

/** Urls of rows that are not below this one, by key, of texts and of columns with SIDs, below the base of the family. */
export function linksOfFamily<C extends string>(
  paths: Readonly<Record<string, readonly (string | { readonly column: C })[]>>,
): Field<Readonly<Record<C, string>>> {
  const all = Object.entries(paths)
  const columns = all.flatMap(([, parts]) => parts.flatMap((part) => (typeof part === 'string' ? [] : [part.column])))
  return {
    columns,
    value: (row, _self, { family }) =>
      Object.fromEntries(
        all.map(([key, parts]) => [
          key,
          family + parts.map((part) => (typeof part === 'string' ? part : row[part.column])).join(''),
        ]),
      ),
    pieces: [
      '{',
      ...all.flatMap(([key, parts], i): Piece[] => [
        `${i === 0 ? '' : ','}"${key}":"`,
        { url: 'family' },
        ...parts.map((part): Piece => (typeof part === 'string' ? part : { word: part.column })),
        '"',
      ]),
      '}',
    ],
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
    const makers = new Map<string, (common: Common) => Writer<Row>>()
    const declared: Declared<Row> = {
      columns: [...new Set(all.flatMap(([, { columns }]) => columns))],
      writer(family, common) {
        const names = Object.keys(common.scope)
        const key = `${family} ${names}`
        const make = makers.get(key) ?? compile(fieldsIn(family), names)
        makers.set(key, make)
        return make(common)
      },
    }
    return Object.assign(represent, declared)
  }
}

/**
 * Returns a function that makes the writer of these fields: one sum, of values and of the constants between them. No input is in the code,
 * only names of the declaration. `names`: of the scope columns.
 */
function compile<Row>(
  fields: readonly (readonly [string, Field<Row>])[],
  names: readonly string[],
): (common: Common) => Writer<Row> {
  /** Expressions over `common`, and how the sum goes on behind each of them. */
  const constants: string[][] = [[]]
  const values: string[] = []
  const addConstant = (code: string) => constants.at(-1)?.push(code)
  const addValue = (code: string) => {
    values.push(code)
    constants.push([])
  }
  const addPiece = (piece: Piece, i: number) => {
    if (typeof piece === 'string') addConstant(JSON.stringify(piece))
    else if ('code' in piece) addValue(piece.code.replace('value(row)', `functions[${i}](row)`))
    else if ('word' in piece && names.includes(piece.word)) addConstant(`common.scope.${piece.word}`)
    else if ('word' in piece) addValue(`row.${piece.word}`)
    else if (piece.url === 'family') addConstant('common.family')
    else {
      addConstant(`common.collection + '/'`)
      addPiece({ word: 'sid' }, i)
    }
  }
  for (const [i, [key, { pieces }]] of fields.entries()) {
    addConstant(JSON.stringify(`${i === 0 ? '{' : ','}${JSON.stringify(key)}:`))
    for (const piece of pieces) addPiece(piece, i)
  }
  addConstant(`'}'`)
  // Joined, they are flat: a sum of texts is put together anew wherever it is used.
  const flat = constants.map((codes, i) => `const c${i} = [${codes}].join('')`)
  const sum = ['c0', ...values.flatMap((code, i) => [code, `c${i + 1}`])].join(' + ')
  const make = new Function('helpers', 'functions', `return (common) => { ${flat.join('; ')}; return (row) => ${sum} }`)
  return make(
    helpers,
    fields.map(([, { value }]) => value),
  )
}
