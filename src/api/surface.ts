import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Acting } from '../audit/log.ts'
import type { AnyResource } from '../model/declare.ts'
import type { Span, Tracer } from '../trace.ts'
import type { Admission, Principal } from './admission.ts'
import type { V1Audit } from './auditing.ts'
import type { Authenticator } from './auth.ts'
import type { Faults } from './faults.ts'
import type { HostCheck } from './hosts.ts'
import type { ConnectionLimit, HttpLimits } from './limits.ts'
import type { Operator } from './operator.ts'
import type { ProxyCheck } from './origin.ts'
import type { PageReader } from './page-reader.ts'
import type { Operation, Pipeline } from './requests.ts'

type Method = 'GET' | 'POST' | 'DELETE'

export type Handler = (request: FastifyRequest, reply: FastifyReply) => void

/** An operation at a path. */
export interface Endpoint {
  /** Its name, as in the official description where it is an official one. */
  readonly operation: string
  /** What a restricted API key needs for it; absent where there are no credentials. */
  readonly permission?: string
  readonly handler: Handler
  /** The table whose row it changes. */
  readonly table?: string
  /** Returns the body that a GET is answered with; absent where no resource declares it. Throws ApiError. */
  readonly read?: (request: FastifyRequest) => Promise<string | Uint8Array | null>
}

export interface Path {
  readonly url: string
  readonly methods: Partial<Record<Method, Endpoint>>
}

/** Routes that share how `/v1` authenticates, logs and renders errors, but neither its parsers nor its limits. */
export interface Surface {
  /** Called before credentials are checked. */
  readonly prepare?: (request: FastifyRequest) => void
  /** Bodies are files of any size: handlers read them, with limits of their own. */
  readonly streams?: true
  /** Set where signed urls take the place of credentials. */
  readonly withoutCredentials?: true
  /** Authenticates by other means than `Authorization`. Undefined when the request has none of them. */
  readonly authenticate?: (request: FastifyRequest) => Promise<Principal> | undefined
  readonly routes: (plugin: FastifyInstance) => void
}

export interface HttpOptions {
  readonly pipeline: Pipeline
  /** Absent: pages are read by the thread that serves. */
  readonly pageReader?: PageReader
  /** Awaited before each request whose credentials are not cached: a shared test clock may have been moved. */
  readonly beforeRequest?: () => Promise<void>
  readonly authenticator: Authenticator
  readonly admission: Admission
  /** Whoever may ask in the name of any account. */
  readonly operator?: Pick<Operator, 'actingAs'>
  /** Where their acts are recorded. */
  readonly audit?: V1Audit
  readonly resources: readonly AnyResource[]
  readonly operations: readonly Operation[]
  /** Surfaces under `/v1` that parse bodies differently. */
  readonly otherSurfaces: readonly Surface[]
  /** Null: derived from the request's Host header. */
  readonly publicUrl: string | null
  readonly log: Logger
  /** Writes the line of a request to the log. Called after every response, if the level of the log is not above. */
  readonly logRequest: (line: RequestLine) => void
  readonly limits: HttpLimits
  /** Null: any `Host` is served. */
  readonly isOwnHost: HostCheck | null
  /** Null: the headers of no proxy count. */
  readonly isTrustedProxy: ProxyCheck | null
  /** Takes over an authenticated request that is answered elsewhere; returns false for any other. */
  readonly elsewhere?: (request: FastifyRequest, reply: FastifyReply) => boolean
  /** Failures that tests ask for; absent unless in test mode. */
  readonly faults?: Faults
  /** Whether a request to upgrade its connection is for somebody who listens to `upgrade`; any other is an ordinary request. */
  readonly isUpgrade?: (request: IncomingMessage) => boolean
  /** Null where traces are off. */
  readonly tracer: Tracer | null
  /** Called for each connection that was closed because of a limit. */
  readonly onRefusedConnection: (limit: ConnectionLimit, address?: string) => void
  /** Called after every response. */
  readonly onResponse: (response: Responded) => void
}

/** What the log says of a request. No name, no identity, no query and no header. */
export interface RequestLine {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly ms: number
  /** Undefined without credentials. */
  readonly account: string | undefined
  /** See `Endpoint`. */
  readonly operation: string | undefined
  readonly from: string
  /** Sent as `Twilio-Request-Id`. */
  readonly request: string
  /** Undefined where traces are off. */
  readonly trace: string | undefined
}

/** A response that was sent, or that nobody waited for. */
export interface Responded {
  readonly method: string
  readonly status: number
  readonly seconds: number
  /** See `Endpoint`; undefined for what is no operation. */
  readonly operation: string | undefined
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** See `Endpoint`; absent outside `/v1`. */
    operation?: string
    /** See `Endpoint`. */
    table?: string
    /** See `Endpoint`. */
    permission?: string
    /** See `Endpoint`. */
    read?: Endpoint['read']
  }
  interface FastifyInstance {
    /** Paths below `/v1` that have a route for at least one method. */
    knownPaths: RegExp[]
    /** The words of these paths, that is all but their parameters. */
    pathWords: Set<string>
    /** The names of all operations. */
    operationNames: Set<string>
    /** `concurrent`: requests in progress. */
    load: { concurrent: number }
    limits: HttpLimits
    /** Null: the headers of no proxy count. Undefined on the server of the metrics. */
    isTrustedProxy: ProxyCheck | null | undefined
  }
  interface FastifyRequest {
    /** The authenticated account; empty outside `/v1`. */
    account_sid: string
    /** Its default service when it was read; undefined outside `/v1`, and for operators. */
    default_service_sid: string | undefined
    started: number
    /** Null where traces are off, and outside `/v1`. */
    span: Span | null
    /** Sent as `Twilio-Request-Id`. */
    request_id: string
    /** Requests of its account in progress when this one was authenticated, itself included. */
    concurrent: number
    /** Length of the body of its response; 0 until there is one. */
    sentBytes: number
    /** What an operator does by it; null for requests of accounts, and reads. */
    acting: Acting | null
  }
}
