import { describe } from 'vitest'
import { engine } from './databases.ts'

/** For what only an embedded database has: its file, its lock, a database in memory. */
export const sqliteOnly = describe.runIf(engine === 'sqlite')
/** For what only a database on a network has: several servers on it, and its going away. */
export const postgresOnly = describe.runIf(engine === 'postgres')
