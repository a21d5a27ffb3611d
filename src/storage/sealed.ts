import { isJsonObject } from '../json.ts'
import { long, type Tx } from './database.ts'
import { rowsAfter, type Table, updateNames } from './rows.ts'
import type { Tables } from './schema.ts'

/** The columns of a row that hold something encrypted. */
type SealedColumn<Row> = { [C in keyof Row & string]: 'sealed' extends keyof NonNullable<Row[C]> ? C : never }[keyof Row & string]

type SealedTable = { [T in Table]: SealedColumn<Tables[T]> extends never ? never : T }[Table]

interface Declared<T extends SealedTable> {
  readonly key: readonly (keyof Tables[T] & string)[]
  readonly columns: Readonly<Record<SealedColumn<Tables[T]>, true>>
}

/**
 * Every column that the schema says is encrypted, with the primary key of its table: one that is missing does not compile. Rows that others are
 * made from come first: a delivery takes its URL from a webhook as it is stored.
 */
const declared: { readonly [T in SealedTable]: Declared<T> } = {
  installation: { key: ['name'], columns: { value: true } },
  accounts: { key: ['sid'], columns: { auth_token: true, pre_webhook_url: true, post_webhook_url: true } },
  api_keys: { key: ['sid'], columns: { secret: true } },
  services: { key: ['sid'], columns: { pre_webhook_url: true, post_webhook_url: true } },
  credentials: { key: ['account_sid', 'sid'], columns: { secrets: true } },
  addresses: { key: ['account_sid', 'sid'], columns: { auto_creation: true } },
  channels: { key: ['account_sid', 'proxy_address'], columns: { settings: true } },
  conversation_webhooks: { key: ['conversation_sid', 'sid', 'service_sid'], columns: { url: true } },
  erasures: { key: ['id'], columns: { sealed: true } },
  deliveries: { key: ['service_sid', 'id'], columns: { url: true } },
}

export interface SealedPlace {
  readonly table: Table
  /** The primary key. */
  readonly key: readonly string[]
  readonly columns: readonly string[]
  /** Selects key and columns of rows in the order of the key; see `rowsAfter`. */
  readonly query: ReturnType<typeof rowsAfter>
}

export const sealedPlaces: readonly SealedPlace[] = Object.entries(declared).map(([table, { key, columns }]) => {
  const names = Object.keys(columns)
  // `declared` has no other tables than its type says.
  const known = table as Table
  return { table: known, key, columns: names, query: rowsAfter(known, key, names) }
})

export type SealedRow = Readonly<Record<string, unknown>>

/** A column of a row, and what it is to hold in place of what was read. */
export interface Sealing {
  readonly table: Table
  readonly row: SealedRow
  readonly key: readonly string[]
  readonly column: string
  readonly sealed: string
}

/** Stores what is encrypted anew, except where a request has changed the column since it was read. Returns how many columns. */
export const sealColumns = long(async (tx: Tx, sealings: readonly Sealing[]): Promise<number> => {
  let stored = 0
  for (const { table, row, key, column, sealed } of sealings) {
    const query = updateNames(table, [...key, column], [column])
    stored += await tx.run(query, { ...row, [column]: sealed, [`was_${column}`]: row[column] })
    // Rows without a SID are in no cache.
    if (typeof row.sid === 'string') tx.notify({ topic: 'changed', table, sid: row.sid, revision: 0 })
  }
  return stored
})

/** What `sealCredentials` puts in place of the user name and password of a URL. */
const inUrl = /(?<=sealed~)[\w-]{38,}(?=@)/g

/**
 * Returns a stored text with `replace` applied to all in it that may be sealed, as `seal` returned it: the text itself, texts in its JSON, and the
 * credentials of URLs in either. `replace` returns what is none as it is.
 */
export function mapSealed(stored: string, replace: (sealed: string) => string): string {
  const json = /^[{[]/.test(stored) ? parse(stored) : undefined
  if (json !== undefined) {
    const mapped = JSON.stringify(mapJson(json, replace))
    return mapped === JSON.stringify(json) ? stored : mapped
  }
  return mapText(stored, replace)
}

function mapText(text: string, replace: (sealed: string) => string): string {
  // The shortest has a nonce and a tag.
  if (/^[A-Za-z0-9+/]{36,}={0,2}$/.test(text)) return replace(text)
  return text.replace(inUrl, (sealed) => {
    const base64 = Buffer.from(sealed, 'base64url').toString('base64')
    const replaced = replace(base64)
    return replaced === base64 ? sealed : Buffer.from(replaced, 'base64').toString('base64url')
  })
}

function mapJson(value: unknown, replace: (sealed: string) => string): unknown {
  if (typeof value === 'string') return mapText(value, replace)
  if (Array.isArray(value)) return value.map((one) => mapJson(one, replace))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, mapJson(one, replace)]))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
