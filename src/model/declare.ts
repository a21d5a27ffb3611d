import type { ErrorName } from '../errors.ts'
import type { Event, FormValues } from '../events/event.ts'
import type { event_types } from '../events/names.ts'
import type { Target } from '../events/targets.ts'
import type { Reader, Tx } from '../storage/database.ts'
import type { AccountRow, ServiceRow, Tables } from '../storage/schema.ts'
import type { Param, Params, Parsed } from './params.ts'

/** What every resource's row has. */
export interface BaseRow {
  sid: string
  date_created: number
  date_updated: number
  revision: number
}

/** What a rule may know besides the row and the parameters. Time and ids come in as values. */
export interface Facts {
  readonly now: number
  readonly account: AccountRow
  /** The service of the path, or the account's default service; null for a resource of the account. */
  readonly service: ServiceRow | null
  /** Rows of the resources above this one in the path, outermost first. */
  readonly parents: readonly BaseRow[]
  /** Who acts, as webhooks name it; absent where nobody does. */
  readonly source?: string
  /** What came in by a messaging channel, when the change follows from that. */
  readonly inbound?: Inbound
}

/** A message from a messaging channel: what is known of it besides the rows that it makes. */
export interface Inbound {
  /** Who sent it, stored already or not. */
  readonly participant_sid: string
  readonly address: string
  readonly proxy_address: string
  readonly body: string | null
  /** JSON as a message keeps it; told of a new conversation only. */
  readonly media: string | null
  /** JSON text; null when the channel says nothing more. */
  readonly channel_metadata: string | null
}

export interface Urls {
  /** Public base with `/v1`. */
  readonly root: string
  /** Root of the family the caller used: the same as `root`, or `…/Services/IS…`. */
  readonly family: string
}

export type ChangeVerb = 'create' | 'update' | 'remove'

/** One row before and after. */
export interface Change<Row> {
  readonly verb: ChangeVerb
  readonly was: Row | null
  readonly is: Row | null
  /** A caller's request, a deadline that has passed, or another change that it follows from. */
  readonly cause: 'request' | 'deadline' | 'consequence'
}

/** A change of some resource's row, on its way into the transaction. */
export interface Step {
  readonly resource: AnyResource
  readonly change: Change<BaseRow>
  /** Where the row lies, when that is not where the request points. */
  readonly facts?: Facts
}

export type Condition =
  | { readonly column: string; readonly operator: '=' | '>=' | '<='; readonly value: string | number }
  /** Any of these, at least one. */
  | { readonly column: string; readonly operator: 'in'; readonly values: readonly (string | number)[] }

/** Which rows of a list are asked for: those behind a key, at most so many. */
export interface Slice {
  readonly direction: 'asc' | 'desc'
  /** Behind this key and sid, or from it on when `inclusive`; null from the start. */
  readonly after: { readonly key: number | string; readonly sid: string; readonly inclusive: boolean } | null
  readonly limit: number
}

/**
 * Rows that are found and shown with what they are joined to, as it is at `facts.now`. What changes such a row is declared as
 * steps of the resource that owns it.
 */
export interface View<Row, L extends Params> {
  /** One row by what stands in the path; absent when there are only lists. */
  readonly find?: (read: Reader, facts: Facts, key: string) => Promise<Row | undefined>
  /** Rows in the order of the list, each with the column that it goes by. */
  readonly page: (read: Reader, facts: Facts, p: Parsed<L>, slice: Slice) => Promise<readonly Row[]>
}

/** How a list is read: keyset on (`by`, sid). */
export interface Order {
  readonly by: string
  readonly direction: 'asc' | 'desc'
  readonly where: readonly Condition[]
}

/**
 * What a resource *is*, in one place: parsed, stored, shown, told and documented from this. Values and pure functions only;
 * `src/api` says how any resource behaves and never names one.
 */
export interface Resource<Row extends BaseRow = BaseRow, P extends Params = Params, L extends Params = Params, X = unknown> {
  /** As in the official reference. */
  readonly name: string
  /** Last fixed segment(s) of the path. */
  readonly path: string
  /** Above it in the path. `service`: both path families; `only service`: under `/Services/{sid}` alone. */
  readonly under: 'account' | 'service' | 'only service' | AnyResource
  /** Name of the column by which rows below refer to it. */
  readonly asParent?: string
  /** Few enough rows lie below one of this to be removed with it, not later in batches. */
  readonly holdsFew?: boolean
  readonly table: keyof Tables
  /** Sid prefix; null for a singleton, whose row is found by `row`. */
  readonly sid: string | null
  /** Of a singleton: the sid of the row in `table` that it shows. */
  readonly row?: (facts: Pick<Facts, 'account' | 'service'>) => string
  /** Reads rows that `table` alone does not make up. */
  readonly view?: View<Row, L>
  /** A column that serves in place of the sid in paths. */
  readonly alsoFoundBy?: keyof Row & string
  /** Unique within the scope when not null. */
  readonly unique?: readonly { readonly column: keyof Row & string; readonly taken: ErrorName }[]
  readonly params: P
  /** Parameters whose change does not move `date_updated`. */
  readonly quiet?: readonly (keyof P & string)[]
  /**
   * Reads what the rule needs besides the rows above, in the same transaction; throws a refusal when a parameter refers to
   * nothing. `was` is null on create.
   */
  readonly look?: (read: Reader, p: Parsed<P>, facts: Facts, was: Row | null) => Promise<X>
  readonly create?: (
    p: Parsed<P>,
    facts: Facts,
    seen: X,
    sid: string,
  ) => Omit<Row, 'sid' | 'date_created' | 'date_updated' | 'revision'>
  /** Throws a refusal when the row may not be changed. */
  readonly update?: (was: Row, p: Parsed<P>, facts: Facts, seen: X) => Row
  /** Its presence means that the resource can be deleted; throws a refusal when this row may not be. */
  readonly remove?: (was: Row, facts: Facts, seen: X) => void
  /** Everything that happens with a change, in order, the change itself included. */
  readonly steps?: (step: Step, facts: Facts, seen: X) => readonly Step[]
  /** Writes what has no life of its own and follows from a change, whatever caused it. */
  readonly follow?: (tx: Tx, change: Pick<Change<Row>, 'was' | 'is'>, facts: Facts) => Promise<void>
  /** What deadlines that have passed do to a row; undefined when there are none. Any read and any write goes through it. */
  readonly elapse?: (row: Row, now: number) => Row | undefined
  readonly represent: (row: Row, self: string, urls: Urls) => object
  readonly list?: {
    /** Key of the array in the answer. */
    readonly key: string
    readonly size: number
    readonly max: number
    readonly params: L
    readonly order: (p: Parsed<L>) => Order
  }
  readonly events?: {
    /** Pre-action event per verb: its webhook may refuse. */
    readonly before: Partial<Record<ChangeVerb, string>>
    readonly beforeForm: (change: Change<Row>, facts: Facts) => FormValues
    /** Keys of a pre-action webhook's answer that amend the request, and the parameter each sets. */
    readonly amendable: Partial<Record<ChangeVerb, Readonly<Record<string, keyof P & string>>>>
    readonly after: (change: Change<Row>, facts: Facts) => readonly Event[]
    /** Every event that `after` may return. */
    readonly emits: readonly (typeof event_types)[number][]
    /** Targets besides the account's or the service's: webhooks of the conversation. */
    readonly listeners?: (read: Reader, event: Event, change: Change<Row>, facts: Facts) => Promise<readonly Target[]>
  }
}

// The core handles resources of every row type; only the declaration itself knows it.
// biome-ignore lint/suspicious/noExplicitAny: erased on purpose, see above
export type AnyResource = Resource<any, any, any, any>

/** Declares a resource with its row type; parameter types are inferred, so a misspelt name does not compile. */
export function resource<Row extends BaseRow>() {
  return <
    P extends Record<string, Param<unknown>>,
    L extends Record<string, Param<unknown>> = Record<string, never>,
    X = undefined,
  >(
    declaration: Resource<Row, P, L, X>,
  ): Resource<Row, P, L, X> => declaration
}

/** A step about a row of a known type. */
export function stepOf<Row extends BaseRow>(
  // biome-ignore lint/suspicious/noExplicitAny: parameters of the resource do not matter here
  of: Resource<Row, any, any, any>,
  change: Change<Row>,
  facts?: Facts,
): Step {
  return { resource: of, change, ...(facts && { facts }) }
}
