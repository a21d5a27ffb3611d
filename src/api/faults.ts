import { STATUS_CODES } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { catalogue } from '../error-catalogue.ts'
import { respond } from './respond.ts'

/** A failure that a test has asked for. With none of status and drop the request is served after the latency. */
export interface Fault {
  /** As in the official description, such as `CreateConversation`. */
  readonly operation: string
  /** The requests of this account only; null: of all. */
  readonly account_sid: string | null
  /** Status of the response; null: the request is served. */
  readonly status: number | null
  /** What the request waits for first. */
  readonly latency_ms: number
  /** Whether the connection is cut instead of a response. */
  readonly drop: boolean
  /** Requests that are still to fail. */
  readonly times: number
}

/** The failures that tests have asked for, each for some of the next requests of an operation. */
export class Faults {
  #faults: Fault[] = []
  readonly #stopping = new AbortController()

  get list(): readonly Fault[] {
    return this.#faults
  }

  add(fault: Fault): void {
    this.#faults.push(fault)
  }

  clear(): void {
    this.#faults = []
  }

  /** Cuts the connections of the requests that wait. */
  stop(): void {
    this.#stopping.abort()
  }

  /** Lets a request fail if it is one of those that should; else calls `proceed`. */
  apply(request: FastifyRequest, reply: FastifyReply, proceed: () => void): void {
    const fault = this.#take(request.routeOptions.config.operation, request.account_sid)
    if (!fault) {
      proceed()
      return
    }
    const cut = () => {
      reply.hijack()
      request.raw.socket.destroy()
    }
    delay(fault.latency_ms, undefined, { signal: this.#stopping.signal }).then(() => {
      if (request.raw.socket.destroyed) return
      if (fault.drop) cut()
      else if (fault.status !== null) respond(request, reply, fault.status, bodyOf(fault.status))
      else proceed()
    }, cut)
  }

  /** Returns the oldest fault of these requests, and counts this request. */
  #take(operation: string | undefined, account_sid: string): Fault | undefined {
    const at = this.#faults.findIndex(
      (fault) => fault.operation === operation && (fault.account_sid === null || fault.account_sid === account_sid),
    )
    const fault = this.#faults[at]
    if (!fault) return undefined
    const rest = fault.times > 1 ? [{ ...fault, times: fault.times - 1 }] : []
    this.#faults.splice(at, 1, ...rest)
    return fault
  }
}

/** The body of an error in the form of `/v1`, with the code that belongs to the status. */
function bodyOf(status: number): string {
  const code = 20_000 + status
  const known = Object.values(catalogue).find((entry) => entry.code === code && !entry.message.includes('{'))
  const message = known?.message ?? STATUS_CODES[status] ?? 'Error'
  return JSON.stringify({ code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status })
}
