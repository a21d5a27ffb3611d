import type { Tx } from '../storage/database.ts'
import { deleteRow, insertRow } from '../storage/rows.ts'
import type { SearchDocumentRow } from '../storage/schema.ts'
import { documentOf } from '../words.ts'
import type { AnyResource, BaseRow } from './declare.ts'

type Values = Readonly<Record<string, unknown>>

const columns = ['service_sid', 'sid', 'account_sid', 'conversation_sid', 'words'] as const
const insertDocument = insertRow('search_documents', columns)
const deleteDocument = deleteRow('search_documents', ['service_sid', 'sid'])

/** Writes the document of a row that is created or changed, in its transaction. A deleted row's document goes by the schema. */
export async function saveDocument(tx: Tx, resource: AnyResource, before: BaseRow | null, after: BaseRow): Promise<void> {
  if (!resource.searched || !tx.searchable) return
  const values: Values = { ...after }
  const old: Values | null = before && { ...before }
  if (old) {
    if (resource.searched.every((column) => old[column] === values[column])) return
    await tx.run(deleteDocument, { service_sid: String(values.service_sid), sid: after.sid })
  }
  const document = documentFor(resource, values)
  if (document) await tx.must(insertDocument, { ...document })
}

/** Returns the document of a row; null when there is no word in it. */
export function documentFor(resource: AnyResource, row: Values): Omit<SearchDocumentRow, 'id'> | null {
  const sid = String(row.sid)
  const service_sid = String(row.service_sid)
  const account_sid = String(row.account_sid)
  const words = documentOf(
    (resource.searched ?? []).map((column) => textOf(row[column])),
    [sid.slice(0, 2), service_sid, account_sid],
  )
  return words === null ? null : { service_sid, sid, account_sid, conversation_sid: textOf(row.conversation_sid), words }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
