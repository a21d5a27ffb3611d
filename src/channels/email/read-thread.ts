import { type MessagePort, parentPort } from 'node:worker_threads'
import { readMail } from './read.ts'

/** Takes large mails apart, one at a time, so that the event loop of the server is not held up by them. */
function run(port: MessagePort): void {
  port.on('message', async (raw: Uint8Array) => {
    port.postMessage(await readMail(raw))
  })
}

if (!parentPort) throw new Error('mails are read in a worker thread')
run(parentPort)
