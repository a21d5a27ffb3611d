import type { Logger } from 'pino'
import type { Pipeline } from '../api/requests.ts'
import type { Clock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import type { Database } from '../storage/database.ts'
import type { HostedClient } from '../transfer/hosted/client.ts'
import type { HostedSender } from './hosted-write.ts'
import type { SettleOptions } from './settle.ts'
import type { MirrorStore } from './store.ts'
import type { Turn } from './turn.ts'

export interface MirrorOptions {
  readonly database: Database<ParleyCommands>
  readonly clock: Clock
  readonly log: Logger
  readonly store: MirrorStore
  readonly pipeline: Pipeline
  readonly client: HostedClient
  readonly sender: HostedSender
  readonly media: SettleOptions['media']
  readonly account_sid: string
  readonly url: string
  readonly mediaUrl: string
  /** Who answers reads. compare: the hosted side, and they are made here as well. */
  readonly reads: 'hosted' | 'here' | 'compare'
  /** How often all lists are gone through, in ms. */
  readonly passEveryMs: number
  /** Targets that are read at the same time. */
  readonly atOnce: number
  /** Null: derived from the request's Host header. */
  readonly publicUrl: string | null
  readonly maxBodyBytes: number
  /** Whether this process is the one that follows; null where there is one only. */
  readonly turn: Turn | null
}
