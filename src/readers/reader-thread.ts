import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { list, type Reading } from '../api/requests.ts'
import { SystemClock } from '../clock.ts'
import { ApiError } from '../errors.ts'
import { emptyForm, parseForm } from '../model/form.ts'
import { registry } from '../resources/index.ts'
import { failureOf } from '../storage/failures.ts'
import { openConnection } from '../storage/sqlite/connection.ts'
import { isUnavailable } from '../storage/sqlite/failures.ts'
import { SqliteReader } from '../storage/sqlite/reader.ts'
import { Vault } from '../vault.ts'
import type { FromReader, PageJob, PageReply, ReaderData, ToReader } from './messages.ts'

/** Thrown where a page can only be read after a write. */
class NeedsWriteError extends Error {
  override readonly name = 'NeedsWriteError'
}

const system = new SystemClock()

/**
 * Reads pages on a connection of its own. It remembers no row: what it reads is what was committed when the message came, so
 * nothing need be told to it.
 */
function run(port: MessagePort, { file, keys, pageSecrets }: ReaderData): void {
  const send = (message: FromReader, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)
  const failed = (error: unknown) => send({ kind: 'failed', failure: failureOf(error, isUnavailable) })
  const read = new SqliteReader(openConnection(file, { readonly: true, durable: true }), failed)
  const vault = Vault.ofKeys(keys)
  const encoder = new TextEncoder()
  const readingOf = ({ offset_ms }: PageJob): Reading => ({
    clock: { now: () => system.now() + offset_ms, offset: () => offset_ms },
    read,
    pageSecrets,
    preAction: { vault },
    catchUp: async () => {
      throw new NeedsWriteError()
    },
  })
  /** Whatever is no page, such as a refusal, is left to the main thread: it says so as it does without reading threads. */
  const replyTo = async (job: PageJob): Promise<PageReply> => {
    try {
      const { resource, family, base, path, query } = job
      const call = { family, base, path, body: emptyForm, webhooks: false }
      const page = await list(readingOf(job), { ...call, resource: registry.named(resource), query: parseForm(query) })
      return { id: job.id, body: encoder.encode(page) }
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof NeedsWriteError)) failed(error)
      return { id: job.id, body: null }
    }
  }
  port.on('message', async (message: ToReader) => {
    if (message === 'close') {
      read.close()
      port.close()
      return
    }
    // A transaction that was begun for an earlier message may be older than a write that was answered before this one.
    read.refresh()
    const replies: PageReply[] = []
    for (const job of message) replies.push(await replyTo(job))
    const bodies = replies.flatMap(({ body }) => (body ? [body.buffer] : []))
    send({ kind: 'pages', replies }, bodies)
  })
  send({ kind: 'ready' })
}

if (!parentPort) throw new Error('pages are read in a worker thread')
run(parentPort, workerData)
