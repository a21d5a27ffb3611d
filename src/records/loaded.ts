import type { AccountRow, ConversationRow, MediaRow, ServiceRow, UserRow } from '../storage/schema.ts'
import type { StoredRow } from './values.ts'

/** What of the database a record depends on. */
export interface Loaded {
  readonly account: AccountRow | undefined
  readonly service: ServiceRow | undefined
  /** The row itself. */
  readonly before?: StoredRow | undefined
  /** That the SID is in use in another account or service, as a sentence. */
  readonly foreign?: string | undefined
  /** What has the SID is being removed in batches. */
  readonly removed?: boolean
  readonly conversation?: ConversationRow | undefined
  readonly user?: UserRow | undefined
  /** By what only one may have: the SID of who has it. */
  readonly holders: ReadonlyMap<string, string>
  /** By SID. */
  readonly media: ReadonlyMap<string, MediaRow>
  /** What the record refers to and is not there. */
  readonly missing: readonly string[]
}
