import type { ErrorName } from '../errors.ts'
import type { Reader } from '../storage/database.ts'
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
}

export interface Urls {
  /** Public base with `/v1`. */
  readonly root: string
  /** Root of the family the caller used: the same as `root`, or `…/Services/IS…`. */
  readonly family: string
}

export type ChangeVerb = 'create' | 'update' | 'remove'

/** One row before and after. `elapse` is what a deadline did. */
export interface Change<Row> {
  readonly verb: ChangeVerb | 'elapse'
  readonly was: Row | null
  readonly is: Row | null
}

/** A parameter of a webhook's form; null and undefined are left out, as on the vendor's wire. */
export type FormValues = Readonly<Record<string, string | number | null | undefined>>

/** Something to tell post-action webhooks. */
export interface Event {
  readonly type: string
  readonly form: FormValues
  /** Deliveries about one subject keep their order. */
  readonly subject_sid: string
  /** Told although the request did not ask for webhooks: what the system does by itself. Such events carry no Source. */
  readonly by_itself: boolean
}

export interface Condition {
  readonly column: string
  readonly operator: '=' | '>=' | '<='
  readonly value: string | number
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
export interface Resource<Row extends BaseRow = BaseRow, P extends Params = Params, L extends Params = Params> {
  /** As in the official reference. */
  readonly name: string
  /** Last fixed segment(s) of the path. */
  readonly path: string
  /** Above it in the path. `service`: both path families; `only service`: under `/Services/{sid}` alone. */
  readonly under: 'account' | 'service' | 'only service' | AnyResource
  /** Name of the column by which rows below refer to it. */
  readonly asParent?: string
  /** Null while nothing is stored: the list is empty. */
  readonly table: keyof Tables | null
  /** Sid prefix; null for a singleton, whose row is found by `row`. */
  readonly sid: string | null
  /** Of a singleton: the sid of the row in `table` that it shows. */
  readonly row?: (facts: Pick<Facts, 'account' | 'service'>) => string
  /** A column that serves in place of the sid in paths. */
  readonly alsoFoundBy?: keyof Row & string
  /** Unique within the scope when not null. */
  readonly unique?: readonly { readonly column: keyof Row & string; readonly taken: ErrorName }[]
  readonly params: P
  /** Looks up what parameters refer to; throws a refusal. */
  readonly check?: (read: Reader, p: Parsed<P>, facts: Facts) => Promise<void>
  readonly create?: (p: Parsed<P>, facts: Facts, sid: string) => Omit<Row, 'sid' | 'date_created' | 'date_updated' | 'revision'>
  /** Throws a refusal when the row may not be changed. */
  readonly update?: (was: Row, p: Parsed<P>, facts: Facts) => Row
  /** Its presence means that the resource can be deleted; throws a refusal when this row may not be. */
  readonly remove?: (was: Row, facts: Facts) => void
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
    readonly beforeForm: (change: Change<Row>) => FormValues
    /** Keys of a pre-action webhook's answer that amend the request, and the parameter each sets. */
    readonly amendable: Partial<Record<ChangeVerb, Readonly<Record<string, keyof P & string>>>>
    readonly after: (change: Change<Row>, facts: Facts) => readonly Event[]
  }
}

// The core handles resources of every row type; only the declaration itself knows it.
// biome-ignore lint/suspicious/noExplicitAny: erased on purpose, see above
export type AnyResource = Resource<any, any, any>

/** Declares a resource with its row type; parameter types are inferred, so a misspelt name does not compile. */
export function resource<Row extends BaseRow>() {
  return <P extends Record<string, Param<unknown>>, L extends Record<string, Param<unknown>> = Record<string, never>>(
    declaration: Resource<Row, P, L>,
  ): Resource<Row, P, L> => declaration
}
