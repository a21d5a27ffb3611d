import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { AnyResource } from '../model/declare.ts'
import type { Authenticator } from './auth.ts'
import type { Operation, Pipeline } from './requests.ts'

type Method = 'GET' | 'POST' | 'DELETE'

export type Handler = (request: FastifyRequest, reply: FastifyReply) => void

export interface Path {
  readonly url: string
  readonly methods: Partial<Record<Method, Handler>>
}

/** Routes that share how `/v1` authenticates, logs and renders errors, but neither its parsers nor its limits. */
export interface Surface {
  /** Called before credentials are looked at. */
  readonly prepare?: (request: FastifyRequest) => void
  /** Its urls are signed instead. */
  readonly withoutCredentials?: true
  readonly routes: (plugin: FastifyInstance) => void
}

export interface HttpOptions {
  readonly pipeline: Pipeline
  /** Done before each request that is not known already: a shared test clock may have been moved. */
  readonly before?: () => Promise<void>
  readonly authenticator: Authenticator
  readonly resources: readonly AnyResource[]
  readonly operations: readonly Operation[]
  /** Surfaces under `/v1` that read bodies in a way of their own. */
  readonly beside: readonly Surface[]
  /** Null: from the request's Host. */
  readonly public_url: string | null
  readonly log: Logger
  /** Told of every answer. */
  readonly answered: (method: string, status: number, seconds: number) => void
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Paths below `/v1` that answer to some verb. */
    known: RegExp[]
    /** Requests under way. */
    load: { concurrent: number }
  }
  interface FastifyRequest {
    /** Account that the credentials stand for; empty outside `/v1`. */
    account_sid: string
    started: number
    id_for_caller: string
    /** How many requests were under way, this one included. */
    concurrent: number
  }
}
