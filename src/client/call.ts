import type { Logger } from 'pino'
import type { Pipeline } from '../api/requests.ts'
import type { Database, Notice } from '../storage/database.ts'
import type { Connection, Session } from './connection.ts'
import type { registrationCommands } from './registrations.ts'
import type { SyncHub } from './sync/hub.ts'
import type { TunnelRequest } from './tunnel.ts'

/** A request of a client, with what answers it. */
export interface ClientCall {
  readonly pipeline: Pipeline
  readonly connection: Connection
  readonly session: Session
  readonly request: TunnelRequest
  /** Until when a pre-action webhook has to respond, by `performance.now()`. */
  readonly preActionBy: number
  readonly hub: SyncHub
  /** Sends a notice to all nodes, this one included. */
  readonly publish: (notice: Notice) => void
  /** Registers devices for push. */
  readonly devices: Pick<Database<typeof registrationCommands>, 'write'>
  readonly log: Logger
  readonly mediaMaxBytes: number
}
