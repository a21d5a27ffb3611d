import { parentPort, workerData } from 'node:worker_threads'
import type { Commands } from '../database.ts'
import { BatchRunner, type Job } from './batch.ts'
import { openConnection } from './connection.ts'

/** The only thread that writes. Nothing else runs here, so a transaction cannot interleave with another. */
const { file, durable, commands: module } = workerData as { file: string; durable: boolean; commands: string }
const port = parentPort
if (!port) throw new Error('the writer is a worker thread')

const { commands } = (await import(module)) as { commands: Commands }
const db = openConnection(file, { readonly: false, durable })
const runner = new BatchRunner(db, commands)

port.on('message', async (jobs: readonly Job[] | 'close') => {
  if (jobs === 'close') {
    db.close()
    port.close()
    return
  }
  port.postMessage(await runner.run(jobs))
})
port.postMessage('ready')
