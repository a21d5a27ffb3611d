import { long, type Tx } from '../storage/database.ts'
import { Counters } from './counters.ts'
import type { Loaded } from './loaded.ts'
import { loadFor, namesOf } from './places.ts'
import type { Prepared } from './prepare.ts'

/**
 * What would become of a record. `different`: fields of what is stored that it would change; `missing`: what it refers to and is not stored,
 * so that it has to come before it.
 */
export type Checked =
  | {
      readonly outcome: 'created' | 'updated' | 'unchanged' | 'kept'
      readonly different: readonly string[]
      readonly missing: readonly string[]
    }
  | { readonly refused: string }

/** Stands for a user whom a record refers to by identity: names of people are not repeated. */
export const missingUser = 'user with its identity'

/** Commands that only look. */
export const checkCommands = {
  /** Returns what would become of each record if it were applied alone. Nothing is written. */
  checkRecords: long(async (tx: Tx, { records }: { readonly records: readonly Prepared[] }): Promise<Checked[]> => {
    const counters = new Counters(tx)
    return Promise.all(records.map(async (record) => checkedOf(record, await loadFor(tx, counters, record))))
  }),
}

/** Returns what a record refers to in its service, which is not there. */
function referencesOf(record: Prepared): string[] {
  if ('setting' in record || 'row' in record) return []
  const { kind, conversation_sid, message_sid, columns } = record
  return [
    ...(conversation_sid === null ? [] : [`conversation ${conversation_sid}`]),
    ...(typeof columns.role_sid === 'string' ? [`role ${columns.role_sid}`] : []),
    ...(message_sid === null ? [] : [`message ${message_sid}`]),
    ...(kind === 'participant' && columns.identity !== null ? [missingUser] : []),
  ]
}

function checkedOf(record: Prepared, loaded: Loaded): Checked {
  const { account, service, foreign, removed, before } = loaded
  if (!account) return { refused: `there is no account ${record.account_sid}: create it with parley accounts create --sid` }
  const isInService = record.kind !== 'service' && record.service_sid !== null
  if (isInService && !service) {
    return { outcome: 'created', different: [], missing: [`service ${record.service_sid}`, ...referencesOf(record)] }
  }
  // Settings have no row of their own, and those of the file win. What is no resource is looked at when it is written.
  if ('setting' in record || 'row' in record) return { outcome: 'updated', different: [], missing: [] }
  if (foreign) return { refused: foreign }
  if (removed) return { refused: 'it is being deleted here: import it again when that is done' }
  for (const { column } of namesOf(record)) {
    const holder = loaded.holders.get(column)
    if (holder !== undefined && holder !== record.sid) return { refused: `its ${column} is that of ${holder}` }
  }
  const missing = [...loaded.missing]
  if (record.kind === 'participant' && record.columns.identity !== null && !loaded.user) missing.push(missingUser)
  if (!before) return { outcome: 'created', different: [], missing }
  const isOlder = (column: string) => Number(record.columns[column] ?? before[column]) < Number(before[column])
  const different = Object.entries(record.columns).flatMap(([column, value]) =>
    value === before[column] || (column === 'last_message_index' && isOlder(column)) ? [] : [column],
  )
  if (isOlder('date_updated') || isOlder('date_activity')) return { outcome: 'kept', different, missing }
  return { outcome: different.length === 0 ? 'unchanged' : 'updated', different, missing }
}
