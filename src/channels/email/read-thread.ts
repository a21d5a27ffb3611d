import { type MessagePort, parentPort } from 'node:worker_threads'
import { readMail } from './read.ts'

/** Takes large mails apart, one at a time, so that the event loop of the server is not held up by them. */
function run(port: MessagePort): void {
  port.on('message', async (raw: Uint8Array) => {
    const mail = await readMail(raw)
    // Handed over, not copied: each file has a buffer of its own.
    const buffers = mail.content.files.flatMap(({ content }) =>
      content.buffer instanceof ArrayBuffer && content.byteLength === content.buffer.byteLength ? [content.buffer] : [],
    )
    port.postMessage(mail, buffers)
  })
}

if (!parentPort) throw new Error('mails are read in a worker thread')
run(parentPort)
