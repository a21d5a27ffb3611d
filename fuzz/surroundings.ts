import type { LiveRows } from './live-rows.ts'
import type { AccountName } from './plan.ts'

/** An account that the fuzzer acts as. */
export interface Account {
  readonly sid: string
  readonly auth_token: string
  readonly key_sid: string
  readonly key_secret: string
  /** In every text that it stores; no other account may ever read it. */
  readonly marker: string
}

/** What a generator may know beyond the seed. */
export interface World {
  /** `127.0.0.1:8080` */
  readonly host: string
  /** An endpoint for webhooks, on this machine. */
  readonly hook: string
  readonly adminToken: string
  /** In values that no answer and no log line may show. */
  readonly secret: string
  readonly accounts: Readonly<Record<AccountName, Account>>
  readonly rows: Readonly<Record<AccountName | 'operator', LiveRows>>
  /** Never asked for by its own credentials: what it holds must stay unseen and unchanged. */
  readonly victim: { readonly account: Account; readonly sids: readonly string[] }
}
