import type { Reader } from '../storage/database.ts'
import { rowsByNames } from '../storage/rows.ts'
import type { Vault } from '../vault.ts'
import type { RecordLine } from './format.ts'
import { keyColumns } from './places.ts'
import type { PreparedPlain } from './plain.ts'
import { type Prepared, prepare, resourceOf } from './prepare.ts'
import type { StoredRow } from './values.ts'

/** User name and password of a stored URL. */
const sealedCredentials = /sealed~([\w-]{38,})@/g

/**
 * Checks a record, and encrypts its secrets. One that is stored already is encrypted as it is stored: no text is encrypted twice to
 * the same, and the record would never be found unchanged. Throws RecordError.
 */
export async function prepareSealed(read: Reader, vault: Vault, record: RecordLine): Promise<Prepared> {
  const secrets: string[] = []
  const prepared = prepare(record, (secret) => {
    secrets.push(secret)
    return vault.seal(secret)
  })
  if (secrets.length === 0 || 'row' in prepared) return prepared
  const stored = await storedRow(read, prepared)
  if (!stored) return prepared
  const known = new Map<string, string>()
  for (const value of Object.values(stored)) {
    for (const [, sealed = ''] of String(value).matchAll(sealedCredentials)) {
      const base64 = Buffer.from(sealed, 'base64url').toString('base64')
      known.set(vault.open(base64), base64)
    }
  }
  return prepare(record, (secret) => known.get(secret) ?? vault.seal(secret))
}

function storedRow(read: Reader, prepared: Exclude<Prepared, PreparedPlain>): Promise<StoredRow | undefined> {
  const { table } = resourceOf({ kind: prepared.kind, chat_service_sid: prepared.service_sid })
  const key = 'setting' in prepared ? { sid: prepared.service_sid ?? prepared.account_sid } : keyColumns(prepared)
  return read.one(rowsByNames<StoredRow>(table, Object.keys(key)), key)
}
