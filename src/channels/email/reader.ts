import { Worker } from 'node:worker_threads'
import { errorOf } from '../../errors.ts'
import { moduleUrl } from '../../package.ts'
import { linesOf, unparsed } from './parse.ts'
import { type ReadMail, readMail, readParsed } from './read.ts'

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
    this.#waiting++
    const result = this.#last.then(() => this.#readInThread(raw))
    this.#last = result
    return result
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

  async #readInThread(raw: Uint8Array): Promise<ReadMail> {
    try {
      return await this.#ask(raw)
    } catch (error) {
      return readParsed(await unparsed(raw, errorOf(error).message))
    } finally {
      // Its memory goes with it: large mails are few.
      if (--this.#waiting === 0) await this.#end()
    }
  }

  #ask(raw: Uint8Array): Promise<ReadMail> {
    const worker = this.#worker ?? this.#start()
    return new Promise((resolve, reject) => {
      const ended = (code: number) => reject(new Error(`the thread has ended with code ${code}`))
      worker.once('error', reject)
      worker.once('exit', ended)
      worker.once('message', (mail: ReadMail) => {
        worker.off('error', reject)
        worker.off('exit', ended)
        resolve(mail)
      })
      worker.postMessage(raw)
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
