/*
 * The declaration of a resource. When a request changes a row, its members run in this order ('·': done by the core):
 *
 *   1 parse      params                     checks the form                       may refuse
 *   2 decide     · locate                   reads the rows above                  404, suspended account
 *                elapse                     applies deadlines that have passed    never throws
 *                load                       reads what the rules need             may refuse
 *                create │ update │ remove   decides the row                       may refuse
 *                unique                     checks that names are free            may refuse
 *                steps                      adds the changes that follow          may refuse
 *   3 ask        preAction                  calls the webhook, if there is one    vetoes, or amends the parameters
 *   4 decide     as 2, inside the transaction, on the rows as they are now
 *                · guard                    before `load`: may the caller?        refuses
 *   5 write      number                     numbers it for client SDKs           must not refuse
 *                · save                     inserts, updates or deletes rows      ConflictError: decide again
 *                afterWrite                 writes rows without a step            must not refuse
 *                postAction, listeners      events; a delivery for each target    must not refuse
 *   6 commit     · notices                  caches, timers and deliveries learn of it
 *   7 respond    represent                  the JSON of the response              never throws
 *
 * Without a pre-action webhook, 2 and 3 are left out. A refusal in 5 would undo what is written.
 *
 * A refusal is an ApiError. Any other error is a defect: the transaction is rolled back, the response is a 500.
 * A deadline (`sweep.ts`) starts at `elapse` and continues at `save`, or is one of those that `elapseMany` does at once; reads use only `elapse` and `represent`.
 */
import type { ErrorName } from '../error-catalogue.ts'
import type { Event, Payload } from '../events/event.ts'
import type { PostActionEvent, PreActionEvent } from '../events/names.ts'
import type { Target } from '../events/targets.ts'
import type { SidKind } from '../sids.ts'
import type { Reader, Tx } from '../storage/database.ts'
import type { Table } from '../storage/rows.ts'
import type { AccountRow, RemovalRow, ServiceRow } from '../storage/schema.ts'
import type { Shape } from '../storage/shapes.ts'
import type { Param, Params, Parsed } from './params.ts'
import type { Represent } from './representation.ts'

/** The columns of every resource's row. */
export interface BaseRow {
  readonly sid: string
  readonly date_created: number
  readonly date_updated: number
  readonly revision: number
}

/** The input of a rule besides the row and the parameters. Rules read no clock: time is a value. */
export interface Facts {
  readonly now: number
  readonly account: AccountRow
  /** The service of the path, or the account's default service; null for a resource of the account. */
  readonly service: ServiceRow | null
  /** Rows of the parent resources in the path, outermost first. */
  readonly parents: readonly BaseRow[]
  /** The `Source` parameter of webhooks; absent in reads and for deadlines. */
  readonly source?: string
  /** The user who changes it with a client SDK. */
  readonly client_identity?: string
  /** The trace context of the request, which its deliveries continue; absent where traces are off. */
  readonly trace?: string
  /** Set when the change follows from an inbound message. */
  readonly inbound?: Inbound
  /** Set when no message is handed to a channel: the change only states what has been. */
  readonly quiet?: true
  /** Set when the change is one of several that set up a new conversation in one transaction; the last one completes it. */
  readonly setup?: 'ongoing' | 'complete'
}

/** The account, the service and the parent rows of a resource. */
export type Ancestors = Omit<Facts, 'now'>

/** A message received from a messaging channel, as far as it is not in the rows created for it. */
export interface Inbound {
  /** The sender, who may not be stored yet. */
  readonly participant_sid: string
  readonly address: string
  /** Null for a group MMS. */
  readonly proxy_address: string | null
  /** The operator's number in a group MMS; else null. */
  readonly projected_address: string | null
  readonly body: string | null
  /** JSON as in the column of a message; only for the event of a new conversation. */
  readonly media: string | null
  /** JSON text. */
  readonly channel_metadata: string | null
}

// The core handles resources of every row type; only the declaration itself knows it.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Erased = any

/** The parent of a resource. `service`: in both path families; `only service`: only below `/Services/{sid}`. */
export type Under = 'account' | 'service' | 'only service' | AnyResource

type IsAny<T> = 0 extends 1 & T ? true : false

/** Row types of the parent resources, outermost first. */
type ParentRows<U> =
  U extends Resource<infer Row, Erased, Erased, Erased, infer Above> ? readonly [...ParentRows<Above>, Row] : readonly []

/** The facts of a resource under `U`: no service below the account, and parents by their row types. */
export type FactsUnder<U> =
  IsAny<U> extends true
    ? Facts
    : Omit<Facts, 'service' | 'parents'> & {
        readonly service: U extends 'account' ? null : ServiceRow
        readonly parents: ParentRows<U>
      }

/** The facts that the rules of a resource receive. */
export type FactsOf<R> = R extends Resource<Erased, Erased, Erased, Erased, infer U> ? FactsUnder<U> : never

/** Columns that the core sets from the path. */
type ScopeColumn<U> =
  | 'account_sid'
  | (U extends 'account' ? never : 'service_sid')
  | (U extends Resource<Erased, Erased, Erased, Erased, infer Above, infer Column> ? Column | ScopeColumn<Above> : never)

export type ChangeVerb = 'create' | 'update' | 'remove'

/** Why a row changes: on request, by a deadline, or as a consequence of another change. */
type Cause = 'request' | 'deadline' | 'consequence' | 'operator'

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

/** Returns the row after a change, or the removed row. */
export function rowOf<Row>(change: Change<Row>): Row {
  return change.verb === 'remove' ? change.before : change.after
}

/** A change to be written in the transaction, with its resource. */
export interface Step {
  readonly resource: AnyResource
  readonly change: Change<BaseRow>
  /** Facts of the row when it has other ancestors than the request's. */
  readonly facts?: Facts
  /** The result of `load`; only for the requested change. */
  readonly loaded?: unknown
}

/** Writes a step that no request has asked for, and the deliveries of its events. */
export type ApplyConsequence = (step: Step, facts: Facts) => Promise<void>

export type Condition<Row> =
  | { readonly column: keyof Row & string; readonly operator: '=' | '>=' | '<='; readonly value: string | number }
  /** `values`: at least one. */
  | { readonly column: keyof Row & string; readonly operator: 'in'; readonly values: readonly (string | number)[] }

/** Returns a condition on a column if a value is given, else none. */
export function when<C extends string, O extends '=' | '>=' | '<='>(column: C, operator: O, value: string | number | undefined) {
  return value === undefined ? [] : [{ column, operator, value }]
}

/** Returns the condition that a column has one of the values if any are given, else none. */
export function whenAny<C extends string>(column: C, values: readonly string[] = []) {
  return values.length === 0 ? [] : [{ column, operator: 'in' as const, values }]
}

/** Selects rows of a list: those after a key, up to a limit. */
export interface Slice {
  readonly direction: 'asc' | 'desc'
  /** Rows after this key and sid, or from it on if `inclusive`; null: from the start. */
  readonly after: { readonly key: number | string; readonly sid: string; readonly inclusive: boolean } | null
  readonly limit: number
}

/**
 * Reads rows joined with others, as of `facts.now`. A change of such a row is declared as steps of the resource that owns the
 * row.
 */
export interface View<Row, L extends Params, U = Under> {
  /** Reads one row by the key in the path, which is empty for a singleton; absent when there are only lists. */
  readonly find?: (read: Reader, facts: FactsUnder<U>, key: string) => Promise<Row | undefined>
  /** Absent when there is no list. Reads rows in the order of the list, each with the column that it is ordered by. */
  readonly page?: (read: Reader, facts: FactsUnder<U>, p: Parsed<L>, slice: Slice) => Promise<readonly Row[]>
}

/** A condition and an order whose row type only the declaration knows. */
export type AnyCondition = Condition<Erased>
export type AnyOrder = Order<Erased>

/** The order of a list, paged by keyset on (`by`, sid). */
export interface Order<Row> {
  readonly by: keyof Row & string
  readonly direction: 'asc' | 'desc'
  readonly where: readonly Condition<Row>[]
  /** A column that the only index of this order may lead with, and all of its values. */
  readonly division?: { readonly column: keyof Row & string; readonly values: readonly string[] } | undefined
}

/** The resource in requests and responses. */
interface Wire<Row, P extends Params, L extends Params, Key extends string> {
  /** As in the official reference. */
  readonly name: string
  /** What names of operations have in place of `name`. */
  readonly operation?: string
  /** Last fixed segment(s) of the path. */
  readonly path: string
  readonly params: P
  /** Parameters that leave `date_updated` as it is. */
  readonly untouched?: readonly (keyof P & string)[]
  /** What a change is an action on, where actions per second are limited: the service, or the outermost row of the path. */
  readonly countsFor?: Partial<Record<ChangeVerb, 'service' | 'root'>>
  /** Declared key by key (`representation.ts`) where many are read. */
  readonly represent: Represent<Row, Key>
  /** Set when a column holds URLs: returns the row with their user names and passwords decrypted, for `represent`. */
  readonly opened?: (row: Row, open: (url: string) => string) => Row
  readonly list?: {
    /** Key of the array in the response. */
    readonly key: string
    readonly size: number
    readonly max: number
    readonly params: L
    readonly order: (p: Parsed<L>) => Order<Row>
    /** Returns a row as lists show it, where they show less of it than a fetch. */
    readonly shown?: (row: Row) => Row
  }
}

/** The rows of the resource in the database. */
interface Stored<Row, L extends Params, U, Column extends string> {
  readonly under: U
  readonly table: Table
  /** Determines the prefix of its SIDs; null for a singleton, whose row is found by `row`. */
  readonly sid: SidKind | null
  /** For a singleton: returns the SID of its row in `table`. */
  readonly row?: (facts: Pick<FactsUnder<U>, 'account' | 'service'>) => string
  /** Set when rows are joined from more than `table`. */
  readonly view?: View<Row, L, U>
  /** A column that paths accept in place of the SID. */
  readonly alsoFoundBy?: keyof Row & string
  /** Columns that are unique within the scope unless null. */
  readonly unique?: readonly { readonly column: keyof Row & string; readonly taken: ErrorName }[]
  /** The column by which child rows refer to it. */
  readonly childColumn?: Column
  /**
   * A row is gone as soon as the removal of the row that this column refers to is recorded. `when`: whether it can be one of those
   * that are not removed at once, and is looked up.
   */
  readonly goneWith?: { readonly column: keyof Row & string; readonly when: (row: Row) => boolean }
  /** Columns whose words an operator finds the row by. The schema forgets them with the row: see the migration `0018-search`. */
  readonly searched?: readonly (keyof Row & string)[]
  /** `inline`: the few child rows are removed in the same transaction, not later in batches. */
  readonly cascade?: 'inline'
  /** Set for the resource that `under: 'service'` refers to. */
  readonly isService?: true
}

/** The rules of its changes. Pure functions, except `load` and `afterWrite`. */
interface Rules<Row, P extends Params, X, U> {
  /**
   * Reads what the rules need besides the facts, in the same transaction. Throws a refusal when a parameter refers to a row that
   * does not exist. `before` is null on create.
   */
  readonly load?: (read: Reader, p: Parsed<P>, facts: FactsUnder<U>, before: Row | null) => Promise<X>
  readonly create?: (p: Parsed<P>, facts: FactsUnder<U>, loaded: X, sid: string) => Omit<Row, keyof BaseRow | ScopeColumn<U>>
  /** Throws a refusal when the row may not be changed. */
  readonly update?: (before: Row, p: Parsed<P>, facts: FactsUnder<U>, loaded: X) => Row
  /** Returns what a stored row stands for, where the service says so. Applied to every row that is read. */
  readonly current?: (row: Row, facts: Pick<FactsUnder<U>, 'service'>) => Row
  /** The columns that `current`, and `shown` of the list, look at: lists read these and those of `represent`, if both are declared. */
  readonly currentBy?: readonly (keyof Row & string)[]
  /**
   * Changes a batch of the rows that refer to a removed one, once its transaction has recorded a removal. Returns how many; fewer
   * than `max` when it is done. `apply` writes a change that events tell of.
   */
  readonly cleanUp?: (tx: Tx, removal: RemovalRow, max: number, apply: ApplyConsequence) => Promise<number>
  /** Present when the resource can be deleted. Throws a refusal when this row may not be. */
  readonly remove?: (before: Row, facts: FactsUnder<U>, loaded: X) => void
  /** Returns the change itself and those that follow from it, in order, also of other resources. Absent: the change alone. */
  readonly steps?: (change: Change<Row>, facts: FactsUnder<U>, loaded: X) => readonly (Change<Row> | Step)[]
  /**
   * Numbers a change, of whatever cause, for the clients that keep a copy of the rows. Returns the row to be written; of a removal
   * nothing. Absent when no client does.
   */
  readonly number?: (tx: Tx, change: Change<Row>, facts: FactsUnder<U>) => Promise<Row | null>
  /**
   * Writes rows that no resource declares but that follow from a change, whatever its cause. `loaded`: undefined for a change that
   * was not requested.
   */
  readonly afterWrite?: (tx: Tx, change: Change<Row>, facts: FactsUnder<U>, loaded: X | undefined) => Promise<void>
  /** Returns the row as its deadlines have changed it; undefined when none has passed. Called in every read and write. */
  readonly elapse?: (row: Row, now: number) => Row | undefined
  /** The columns that `elapse` reads: lists read these and those of `represent`, if both are declared, and no others. */
  readonly elapsesBy?: readonly (keyof Row & string)[]
  /** The same for many rows at a time. */
  readonly elapseMany?: ElapseMany<Erased>
}

/**
 * Applies deadlines to many rows of one service in one statement: what `elapse` and the steps of a change do to each. `Due`: what it needs
 * of a row.
 */
export interface ElapseMany<Due extends { account_sid: string; service_sid: string; sid: string }> {
  /** Selects rows with a deadline at or before `now`, the earliest first. */
  readonly due: Shape<{ now: number; limit: number }, Due>
  /** Whether a row can be one of many; any other is changed by itself. */
  readonly takes: (row: Due) => boolean
  /** Returns the events of the change: those that are sent though no request has asked for webhooks. */
  readonly events: (row: Due, now: number) => readonly Event[]
  /** The types of these events. */
  readonly emits: readonly PostActionEvent[]
  /** Whether a row may have targets besides the account's or the service's webhook. */
  readonly isListened: (row: Due) => boolean
  readonly listeners: (read: Reader, event: Event, row: Due) => Promise<readonly Target[]>
  /** Writes the rows, and what follows from it, as `afterWrite` does. */
  readonly write: (tx: Tx, service_sid: string, rows: readonly Due[], now: number) => Promise<void>
  /** Names what client SDKs keep a copy of, of the row with this SID. */
  readonly object: (sid: string) => string
}

/** The events that webhooks receive. */
interface Events<Row, P extends Params, U> {
  readonly events?: {
    /** The pre-action event of each verb. */
    readonly preAction: Partial<Record<ChangeVerb, PreActionEvent>>
    readonly preActionPayload: (change: Change<Row>, facts: FactsUnder<U>) => Payload
    /** Parameters that the response of a pre-action webhook may replace; its keys are their names in snake_case. */
    readonly amendable: Partial<Record<ChangeVerb, readonly (keyof P & string)[]>>
    /** Every event that `postAction` may return, for the generated reference. */
    readonly emits: readonly PostActionEvent[]
    readonly postAction: (change: Change<Row>, facts: FactsUnder<U>) => readonly Event[]
    /** Returns targets besides the account's or the service's webhook: those of the conversation. */
    readonly listeners?: (read: Reader, event: Event, change: Change<Row>, facts: FactsUnder<U>) => Promise<readonly Target[]>
  }
}

/**
 * Declares everything that is specific to a resource: parameters, rows, rules, JSON, events; the reference is generated from it.
 * `model` and `api` implement what all resources have in common and name none.
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
 * Declares a resource. `Row`: its row type; `Key`: keys of its representation that are no columns. The other types are inferred,
 * so that a misspelt name does not compile.
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

/** Returns a step, with its change checked against the resource's row type. */
export function stepOf<Row extends BaseRow>(
  resource: Resource<Row, Erased, Erased, Erased, Erased, Erased, Erased>,
  change: Change<NoInfer<Row>>,
  facts?: Facts,
): Step {
  return { resource, change, ...(facts && { facts }) }
}
