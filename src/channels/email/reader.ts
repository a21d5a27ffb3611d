import { resolve as resolveDns } from 'node:dns/promises'
import { Worker } from 'node:worker_threads'
import type { DNSResolver } from 'mailauth'
import { errorOf } from '../../errors.ts'
import { moduleUrl } from '../../package.ts'
import { type Authentication, authenticated, type CheckRequest, type Unchecked } from './authentication.ts'
import { linesOf, unparsed } from './parse.ts'
import { type ReadMail, readMail, readParsed } from './read.ts'
import { checkable } from './signatures.ts'
import { failureOf, type ThreadMessage, type ThreadReply, type ThreadTask } from './thread-messages.ts'

/** Mails below both are read at once: a thread would cost more. */
const small = { bytes: 256 * 1024, lines: 5000 }
/** Of the thread, without the bytes of the mail itself. */
const maxHeapMb = 192

/** Takes mails apart: large ones in a thread of its own, which is started with the first. */
export class MailReader {
  #worker: Worker | undefined
  /** One mail at a time, which bounds the memory. */
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** Never throws: a mail that no thread can take apart comes back with its headers. */
  read(raw: Uint8Array): Promise<ReadMail> {
    if (raw.length <= small.bytes && linesOf(raw, small.lines) < small.lines) return readMail(raw)
    return this.#inThread({ kind: 'read', raw }, async (error) => readParsed(await unparsed(raw, error.message)))
  }

  /**
   * Checks SPF, DKIM and DMARC. Never throws. The DNS is asked by this thread, `resolver` instead of it; what is computed for a large mail,
   * or for one with many signatures, is computed in the other.
   */
  async check(given: Uint8Array, request: CheckRequest, resolver: DNSResolver = askDns): Promise<Authentication | Unchecked> {
    const mail = checkable(given)
    if (!mail) return { unchecked: 'permerror' }
    const { raw, signatures } = mail
    if (raw.length * Math.max(1, signatures) <= small.bytes) {
      return authenticated(raw, request.sender, request.connection, resolver)
    }
    return this.#inThread<Authentication | Unchecked>(
      { kind: 'check', raw, ...request },
      async () => ({ unchecked: 'temperror' }),
      resolver,
    )
  }

  async close(): Promise<void> {
    await this.#last
    await this.#end()
  }

  async #end(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }

  #inThread<T>(task: ThreadTask, failed: (error: Error) => Promise<T>, resolver: DNSResolver = askDns): Promise<T> {
    this.#waiting++
    const result = this.#last.then(async () => {
      try {
        return await this.#ask<T>(task, resolver)
      } catch (error) {
        return await failed(errorOf(error))
      } finally {
        // Its memory goes with it: large mails are few.
        if (--this.#waiting === 0) await this.#end()
      }
    })
    this.#last = result
    return result
  }

  #ask<T>(task: ThreadTask, resolver: DNSResolver): Promise<T> {
    const worker = this.#worker ?? this.#start()
    const send = (message: ThreadMessage) => worker.postMessage(message)
    return new Promise((resolve, reject) => {
      const settle = (done: () => void) => {
        worker.off('error', failed).off('exit', ended).off('message', received)
        done()
      }
      const failed = (error: Error) => settle(() => reject(error))
      const ended = (code: number) => failed(new Error(`the thread has ended with code ${code}`))
      const received = (reply: ThreadReply<T>) => {
        if (reply.kind === 'done') return settle(() => resolve(reply.result))
        if (reply.kind === 'failed') return failed(new Error(reply.message))
        const { id, domain, type } = reply
        resolver(domain, type).then(
          (records) => send({ kind: 'records', id, records }),
          (error: unknown) => send({ kind: 'no records', id, error: failureOf(error) }),
        )
      }
      worker.on('error', failed).on('exit', ended).on('message', received)
      send(task)
    })
  }

  #start(): Worker {
    const worker = new Worker(moduleUrl('channels/email/read-thread'), { resourceLimits: { maxOldGenerationSizeMb: maxHeapMb } })
    // The server's end does not wait for it.
    worker.unref()
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
    })
    this.#worker = worker
    return worker
  }
}

// Its own default; the type that it has for it leaves out the records of MX.
const askDns = resolveDns as DNSResolver
