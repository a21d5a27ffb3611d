import { type MessagePort, parentPort } from 'node:worker_threads'
import type { DNSResolver } from 'mailauth'
import { errorOf } from '../../errors.ts'
import { authenticated } from './authentication.ts'
import { readMail } from './read.ts'
import type { ThreadMessage, ThreadReply, ThreadTask } from './thread-messages.ts'

type Send = (reply: ThreadReply<unknown>, transfer?: ArrayBuffer[]) => void

/** Takes large mails apart and checks them, one task at a time, so that the event loop of the server is not held up by them. */
function run(port: MessagePort): void {
  const send: Send = (reply, transfer = []) => port.postMessage(reply, transfer)
  const lookups = new Map<number, PromiseWithResolvers<string[][] | string[]>>()
  let lastId = 0
  const resolver: DNSResolver = (domain, type) => {
    const id = ++lastId
    const asked = Promise.withResolvers<string[][] | string[]>()
    lookups.set(id, asked)
    send({ kind: 'lookup', id, domain, type })
    return asked.promise
  }
  port.on('message', (message: ThreadMessage) => {
    if (message.kind === 'read' || message.kind === 'check') {
      perform(message, resolver, send).catch((error: unknown) => send({ kind: 'failed', message: errorOf(error).message }))
      return
    }
    const asked = lookups.get(message.id)
    lookups.delete(message.id)
    if (message.kind === 'records') asked?.resolve(message.records)
    else asked?.reject(Object.assign(new Error(message.error.message), { code: message.error.code }))
  })
}

async function perform(task: ThreadTask, resolver: DNSResolver, send: Send): Promise<void> {
  if (task.kind === 'check') {
    send({ kind: 'done', result: await authenticated(task.raw, task.sender, task.connection, resolver) })
    return
  }
  const mail = await readMail(task.raw)
  // Handed over, not copied: each file has a buffer of its own.
  const buffers = mail.content.files.flatMap(({ content }) =>
    content.buffer instanceof ArrayBuffer && content.byteLength === content.buffer.byteLength ? [content.buffer] : [],
  )
  send({ kind: 'done', result: mail }, buffers)
}

if (!parentPort) throw new Error('mails are read in a worker thread')
run(parentPort)
