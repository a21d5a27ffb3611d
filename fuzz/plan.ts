import type { Target } from './operations.ts'

export type AccountName = 'a' | 'b'

/** What happens on a connection, in this order. */
export type Step = Buffer | { readonly pause_ms: number } | 'end' | 'reset'

/** One request, or a conversation on a socket that is none. */
export interface Plan {
  readonly index: number
  /** What the report counts it under. */
  readonly label: string
  readonly as: AccountName | 'operator' | 'nobody'
  readonly method: string
  /** As in the request line. */
  readonly target: string
  readonly steps: readonly Step[]
  /** Credentials that nothing may be served for. */
  readonly denied: boolean
  /** How many answers there must be; null where any number will do, none included. */
  readonly answers: number | null
  /** On a connection of its own. */
  readonly alone: boolean
  /** Where an official operation is asked for in its own form. */
  readonly asked: Asked | null
}

export interface Asked {
  readonly at: Target
  readonly service: string
  readonly keys: readonly string[]
}
