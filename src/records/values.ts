import { type Kind, RecordError } from './format.ts'

export type Value = string | number | null
export type Columns = Readonly<Record<string, Value>>
/** A row of any table. */
export type StoredRow = Readonly<Record<string, Value>>

/** Where a record belongs. */
export interface Place {
  readonly kind: Kind
  readonly account_sid: string
  readonly service_sid: string | null
  readonly conversation_sid: string | null
  readonly message_sid: string | null
}

/** Throws RecordError for a text that an engine cannot store. */
export function refuseUnstorable(columns: Columns): void {
  for (const [column, value] of Object.entries(columns)) {
    if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())) {
      throw new RecordError(`${column} must not contain a NUL character or an unpaired surrogate`)
    }
  }
}
