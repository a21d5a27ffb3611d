import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { importCommands, type Job } from '../jobs.ts'
import { BatchRunner, ran } from './batch.ts'
import { emptyLog, openConnection } from './connection.ts'

/** What the thread is started with. */
export interface WriterData {
  readonly file: string
  readonly durable: boolean
  readonly commands: string
  readonly searchable: boolean
}

/** The only thread that writes. It does nothing else, so transactions cannot interleave. */
async function run(port: MessagePort, { file, durable, commands, searchable }: WriterData): Promise<void> {
  const registry = await importCommands(commands)
  const db = openConnection(file, { readonly: false, durable })
  const runner = new BatchRunner(db, registry, searchable)
  port.on('message', async (jobs: readonly Job[] | 'close' | 'scrub') => {
    if (jobs === 'close') {
      db.close()
      port.close()
      return
    }
    port.postMessage(jobs === 'scrub' ? { scrubbed: emptyLog(db) } : await ran(runner, jobs))
  })
  port.postMessage('ready')
}

if (!parentPort) throw new Error('the writer is a worker thread')
// Not awaited here: a bundle of CommonJS modules has no top-level await. The thread ends with what is thrown.
void run(parentPort, workerData)
