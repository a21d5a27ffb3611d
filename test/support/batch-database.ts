import { onTestFinished } from 'vitest'
import type { Config } from '../../src/config.ts'
import { ApiError } from '../../src/errors.ts'
import type { Database, OpenOptions } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { everything, type TestCommands } from './batch-commands.ts'

const commands = new URL('./batch-commands.ts', import.meta.url)

/** A database with the commands of `batch-commands.ts`, closed when the test is over, and what has failed in it. */
export async function open(place: Pick<Config, 'database'>, options: Pick<OpenOptions, 'coalesce'> = {}) {
  const failures: Error[] = []
  const failed = (error: Error) => void failures.push(error)
  const database = await openDatabase<TestCommands>(place.database, { ...options, commands, failed })
  onTestFinished(() => database.close())
  return { database, failures }
}

/** How something ended: `done`, or the kind of its error. */
export async function kindOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'done',
    (error: unknown) => (error instanceof ApiError ? error.kind : error),
  )
}

export function row(name: string) {
  return { name, value: `secret of ${name}` }
}

export async function names(database: Database<TestCommands>): Promise<string[]> {
  return (await database.read.all(everything, {})).map(({ name }) => name)
}
