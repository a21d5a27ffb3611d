import type { Config } from '../../src/config.ts'
import type { StartOptions } from '../../src/main.ts'
import { type Inspection, inspect, newDatabase } from './databases.ts'
import { startServer, type TestServer } from './server.ts'

export const secretKey = '0123456789abcdef'.repeat(4)

export interface FileServer extends TestServer, Pick<Inspection, 'insert' | 'rows' | 'holds'> {}

/** A server on a database that a test can look into. */
export async function startFileServer(overrides: Partial<Config> = {}, options: StartOptions = {}): Promise<FileServer> {
  const database = await newDatabase()
  const server = await startServer({ ...database.config, secretKey, ...overrides }, options)
  const { insert, rows, holds, close } = inspect(database.config)
  const stop = async () => {
    await close()
    await server.stop()
    await database.dispose()
  }
  return { ...server, insert, rows, holds, stop, [Symbol.asyncDispose]: stop }
}
