import type { Call } from '../api/requests.ts'
import type { PageSecrets } from '../model/pages.ts'
import type { ResourcePath } from '../model/scope.ts'
import type { Failure } from '../storage/failures.ts'
import type { VaultKeys } from '../vault.ts'

/** What a reading thread is started with. */
export interface ReaderData {
  readonly file: string
  readonly keys: VaultKeys
  readonly pageSecrets: PageSecrets
}

/** A page to read, as it crosses to a reading thread. */
export interface PageJob extends Pick<Call, 'family' | 'base'> {
  readonly id: number
  /** The name of the resource. */
  readonly resource: string
  readonly path: ResourcePath
  /** Encoded, as in the URL. */
  readonly query: string
  /** How far the clock of the account is ahead of the system clock, in ms. */
  readonly offset_ms: number
}

/** To a reading thread: jobs that are read in one state of the database, committed when the message comes or later. */
export type ToReader = readonly PageJob[] | 'close'

/** `body`: the JSON in UTF-8; null: it is for the main thread to read, or to refuse. */
export interface PageReply {
  readonly id: number
  readonly body: Uint8Array<ArrayBuffer> | null
}

/** From a reading thread. */
export type FromReader =
  | { readonly kind: 'ready' }
  | { readonly kind: 'pages'; readonly replies: readonly PageReply[] }
  | { readonly kind: 'failed'; readonly failure: Failure }
