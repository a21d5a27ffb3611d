/*
 * What a resource is, in one declaration. When a request changes a row, its members run in this order:
 *
 *   params           parse and check the form                      may refuse
 *   ── decide: on committed rows before a pre-action webhook, and again inside the transaction ──
 *   elapse           applies deadlines that have passed            never throws
 *   load             reads what the rules need                     may refuse
 *   create │ update │ remove   decides the row                     may refuse
 *   unique           checks that names are free                    may refuse
 *   steps            adds what follows from the change             may refuse
 *   ── preAction: the webhook is asked between the two; it may refuse or amend the parameters ──
 *   ── write: the transaction; a refusal from here on would undo what is written ──
 *   save             inserts, updates or deletes the rows          ConflictError: decided anew
 *   afterWrite       writes what has no resource of its own        must not refuse
 *   postAction       payloads of events, one delivery per target   must not refuse
 *   ── after the commit ──
 *   represent        the JSON that the caller is sent              never throws
 *
 * A refusal is an ApiError. Anything else that is thrown is a defect: all is undone, the caller gets 500.
 * A deadline (`sweep.ts`) enters at `elapse` and goes the same way from `save` on; reads use `elapse` and `represent` alone.
 */
import type { ErrorName } from '../errors.ts'
import type { Event, Payload } from '../events/event.ts'
import type { PostActionEvent, PreActionEvent } from '../events/names.ts'
import type { Target } from '../events/targets.ts'
import type { SidKind } from '../sids.ts'
import type { Reader, Tx } from '../storage/database.ts'
import type { Table } from '../storage/rows.ts'
import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { Param, Params, Parsed } from './params.ts'

/** What every resource's row has. */
export interface BaseRow {
  readonly sid: string
  readonly date_created: number
  readonly date_updated: number
  readonly revision: number
}

/** What a rule knows besides the row and the parameters. Time and ids come in as values. */
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

/** Facts without a time: the rows above a resource. */
export type Ancestors = Omit<Facts, 'now'>

/** A message from a messaging channel: what is known of it besides the rows that it makes. */
export interface Inbound {
  /** Who sent it, stored already or not. */
  readonly participant_sid: string
  readonly address: string
  readonly proxy_address: string
  readonly body: string | null
  /** JSON as a message keeps it; part of the event of a new conversation only. */
  readonly media: string | null
  /** JSON text; null when the channel says nothing more. */
  readonly channel_metadata: string | null
}

// The core handles resources of every row type; only the declaration itself knows it.
// biome-ignore lint/suspicious/noExplicitAny: erased on purpose, see above
type Erased = any

/** What is above a resource in the path. `service`: both path families; `only service`: under `/Services/{sid}` alone. */
export type Under = 'account' | 'service' | 'only service' | AnyResource

type IsAny<T> = 0 extends 1 & T ? true : false

/** Rows of the resources above, outermost first, as their types. */
type ParentRows<U> =
  U extends Resource<infer Row, Erased, Erased, Erased, infer Above> ? readonly [...ParentRows<Above>, Row] : readonly []

/** The facts of a resource that is under `U`: no service for one of the account, the rows above by their types. */
export type FactsUnder<U> =
  IsAny<U> extends true
    ? Facts
    : Omit<Facts, 'service' | 'parents'> & {
        readonly service: U extends 'account' ? null : ServiceRow
        readonly parents: ParentRows<U>
      }

/** Facts of requests that a resource of this type gets. */
export type FactsOf<R> = R extends Resource<Erased, Erased, Erased, Erased, infer U> ? FactsUnder<U> : never

/** Columns that the core fills in: they follow from the path. */
type ScopeColumn<U> =
  | 'account_sid'
  | (U extends 'account' ? never : 'service_sid')
  | (U extends Resource<Erased, Erased, Erased, Erased, infer Above, infer Column> ? Column | ScopeColumn<Above> : never)

export interface Urls {
  /** Public base with `/v1`. */
  readonly root: string
  /** Root of the family the caller used: the same as `root`, or `…/Services/IS…`. */
  readonly family: string
}

export type ChangeVerb = 'create' | 'update' | 'remove'

/** Why a row changes: a caller's request, a deadline that has passed, or another change that it follows from. */
type Cause = 'request' | 'deadline' | 'consequence'

export interface Created<Row> {
  readonly verb: 'create'
  readonly before: null
  readonly after: Row
  readonly cause: Cause
}
export interface Updated<Row> {
  readonly verb: 'update'
  readonly before: Row
  readonly after: Row
  readonly cause: Cause
}
export interface Removed<Row> {
  readonly verb: 'remove'
  readonly before: Row
  readonly after: null
  readonly cause: Cause
}

/** One row before and after. */
export type Change<Row> = Created<Row> | Updated<Row> | Removed<Row>

/** Returns the row of a change as it is now, or as it last was. */
export function rowOf<Row>(change: Change<Row>): Row {
  return change.verb === 'remove' ? change.before : change.after
}

/** A change of some resource's row, on its way into the transaction. */
export interface Step {
  readonly resource: AnyResource
  readonly change: Change<BaseRow>
  /** Where the row is, when that is not where the request points. */
  readonly facts?: Facts
  /** What the rule has loaded, for the change that was asked for. */
  readonly loaded?: unknown
}

export type Condition<Row> =
  | { readonly column: keyof Row & string; readonly operator: '=' | '>=' | '<='; readonly value: string | number }
  /** Any of these, at least one. */
  | { readonly column: keyof Row & string; readonly operator: 'in'; readonly values: readonly (string | number)[] }

/** A condition on a column, where a value for it is given. */
export function when<C extends string, O extends '=' | '>=' | '<='>(column: C, operator: O, value: string | number | undefined) {
  return value === undefined ? [] : [{ column, operator, value }]
}

/** That a column has one of these values, where any are given. */
export function whenAny<C extends string>(column: C, values: readonly string[] = []) {
  return values.length === 0 ? [] : [{ column, operator: 'in' as const, values }]
}

/** Which rows of a list are asked for: those behind a key, up to a limit. */
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
export interface View<Row, L extends Params, U = Under> {
  /** One row by what stands in the path; absent when there are only lists. */
  readonly find?: (read: Reader, facts: FactsUnder<U>, key: string) => Promise<Row | undefined>
  /** Rows in the order of the list, each with the column that it is ordered by. */
  readonly page: (read: Reader, facts: FactsUnder<U>, p: Parsed<L>, slice: Slice) => Promise<readonly Row[]>
}

/** How a list is read: keyset on (`by`, sid). */
export interface Order<Row> {
  readonly by: keyof Row & string
  readonly direction: 'asc' | 'desc'
  readonly where: readonly Condition<Row>[]
}

/** A JSON object with keys named after columns, and the few more that are declared. */
type Representation<Row, Key extends string> = {
  readonly [K in keyof Row | Key | 'url' | 'links' | 'chat_service_sid']?: unknown
}

/** How it looks from outside. */
interface Wire<Row, P extends Params, L extends Params, Key extends string> {
  /** As in the official reference. */
  readonly name: string
  /** Last fixed segment(s) of the path. */
  readonly path: string
  readonly params: P
  /** Parameters whose change does not move `date_updated`. */
  readonly untouched?: readonly (keyof P & string)[]
  readonly represent: (row: Row, self: string, urls: Urls) => Representation<Row, Key>
  readonly list?: {
    /** Key of the array in the response. */
    readonly key: string
    readonly size: number
    readonly max: number
    readonly params: L
    readonly order: (p: Parsed<L>) => Order<Row>
  }
}

/** Where its rows are. */
interface Stored<Row, L extends Params, U, Column extends string> {
  readonly under: U
  readonly table: Table
  /** What its SIDs are called by; null for a singleton, whose row is found by `row`. */
  readonly sid: SidKind | null
  /** Of a singleton: the sid of the row in `table` that it shows. */
  readonly row?: (facts: Pick<FactsUnder<U>, 'account' | 'service'>) => string
  /** Reads rows that `table` alone does not make up. */
  readonly view?: View<Row, L, U>
  /** A column that serves in place of the sid in paths. */
  readonly alsoFoundBy?: keyof Row & string
  /** Unique within the scope when not null. */
  readonly unique?: readonly { readonly column: keyof Row & string; readonly taken: ErrorName }[]
  /** Name of the column by which rows below refer to it. */
  readonly childColumn?: Column
  /** `inline`: so few rows are below one of this that they are removed with it, not later in batches. */
  readonly cascade?: 'inline'
  /** It is what `under: 'service'` means. */
  readonly isService?: true
}

/** What may be done to it. Pure, but for `load` and `afterWrite`. */
interface Rules<Row, P extends Params, X, U> {
  /**
   * Reads what the rule needs besides the rows above, in the same transaction; throws a refusal when a parameter refers to
   * nothing. `before` is null on create.
   */
  readonly load?: (read: Reader, p: Parsed<P>, facts: FactsUnder<U>, before: Row | null) => Promise<X>
  readonly create?: (p: Parsed<P>, facts: FactsUnder<U>, loaded: X, sid: string) => Omit<Row, keyof BaseRow | ScopeColumn<U>>
  /** Throws a refusal when the row may not be changed. */
  readonly update?: (before: Row, p: Parsed<P>, facts: FactsUnder<U>, loaded: X) => Row
  /** Its presence means that the resource can be deleted; throws a refusal when this row may not be. */
  readonly remove?: (before: Row, facts: FactsUnder<U>, loaded: X) => void
  /** Everything that happens with a change, in order, the change itself included: its own changes, and steps of other resources. */
  readonly steps?: (change: Change<Row>, facts: FactsUnder<U>, loaded: X) => readonly (Change<Row> | Step)[]
  /** Writes what has no life of its own and follows from a change, whatever caused it. `loaded` only where it was asked for. */
  readonly afterWrite?: (tx: Tx, change: Change<Row>, facts: FactsUnder<U>, loaded: X | undefined) => Promise<void>
  /** What deadlines that have passed do to a row; undefined when there are none. Every read and every write goes through it. */
  readonly elapse?: (row: Row, now: number) => Row | undefined
}

/** What webhooks are sent. */
interface Events<Row, P extends Params, U> {
  readonly events?: {
    /** Pre-action event per verb: its webhook may refuse. */
    readonly preAction: Partial<Record<ChangeVerb, PreActionEvent>>
    readonly preActionPayload: (change: Change<Row>, facts: FactsUnder<U>) => Payload
    /** Parameters that a pre-action webhook's response may replace, under their names in snake_case. */
    readonly amendable: Partial<Record<ChangeVerb, readonly (keyof P & string)[]>>
    /** Every event that `postAction` may return: for the reference. */
    readonly emits: readonly PostActionEvent[]
    readonly postAction: (change: Change<Row>, facts: FactsUnder<U>) => readonly Event[]
    /** Targets besides the account's or the service's: webhooks of the conversation. */
    readonly listeners?: (read: Reader, event: Event, change: Change<Row>, facts: FactsUnder<U>) => Promise<readonly Target[]>
  }
}

/**
 * What a resource *is*, in one place: parsed, stored, represented, announced and documented from this. Values and pure functions
 * only; `model` and `api` say how any resource behaves and name none.
 */
export interface Resource<
  Row extends BaseRow,
  P extends Params,
  L extends Params,
  X,
  U,
  Column extends string = string,
  Key extends string = string,
> extends Wire<Row, P, L, Key>,
    Stored<Row, L, U, Column>,
    Rules<Row, P, X, U>,
    Events<Row, P, U> {}

export type AnyResource = Resource<Erased, Erased, Erased, Erased, Erased, Erased, Erased>

/**
 * Declares a resource with its row type, and with the keys of its representation that are no column. The types of parameters,
 * facts and what is loaded are inferred, so a misspelt name does not compile.
 */
export function resource<Row extends BaseRow, Key extends string = 'sid'>() {
  return <
    P extends Record<string, Param<unknown>>,
    const U extends Under,
    L extends Record<string, Param<unknown>> = Record<string, never>,
    X = undefined,
    const Column extends string = 'sid',
  >(
    declaration: Resource<Row, P, L, X, U, Column, Key>,
  ): Resource<Row, P, L, X, U, Column, Key> => declaration
}

/** A step about a row of a known type. */
export function stepOf<Row extends BaseRow>(
  resource: Resource<Row, Erased, Erased, Erased, Erased, Erased, Erased>,
  change: Change<NoInfer<Row>>,
  facts?: Facts,
): Step {
  return { resource, change, ...(facts && { facts }) }
}
