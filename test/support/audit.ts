import { expect, onTestFinished } from 'vitest'
import { openSigner, type Signer } from '../../src/audit/checkpoints.ts'
import { type Act, AuditLog } from '../../src/audit/log.ts'
import { TestClock } from '../../src/clock.ts'
import type { ParleyCommands } from '../../src/commands.ts'
import { commandModule } from '../../src/installation/command-module.ts'
import type { Database } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { Vault } from '../../src/vault.ts'
import { engine, type Inspection, inspect, newDatabase, type TestDatabase } from './databases.ts'

/** A log without a server. */
export interface TestLog {
  readonly place: TestDatabase
  readonly database: Database<ParleyCommands>
  readonly audit: AuditLog<ParleyCommands>
  readonly clock: TestClock
  readonly signer: Signer
  /** A look behind its back. */
  readonly rows: Inspection
}

export const vault = new Vault('5'.repeat(64))

/** Opens a log, closed when the test is over. `place`: that of another node. */
export async function openLog(place?: TestDatabase): Promise<TestLog> {
  const own = place ?? (await newDatabase())
  if (!place) onTestFinished(() => own.dispose())
  const failures: Error[] = []
  const failed = (error: Error) => void failures.push(error)
  onTestFinished(() => expect(failures).toEqual([]))
  const database = await openDatabase<ParleyCommands>(own.config.database, { ...commandModule, failed })
  onTestFinished(() => database.close())
  const clock = new TestClock()
  const audit = new AuditLog<ParleyCommands>({ database, clock, vault })
  const rows = inspect(own.config)
  onTestFinished(() => rows.close())
  return { place: own, database, audit, clock, signer: await openSigner(database, vault), rows }
}

/** What only somebody can do who owns the database. */
export async function dropTriggers(rows: Inspection): Promise<void> {
  for (const table of ['audit_entries', 'audit_checkpoints']) {
    if (engine === 'postgres') await rows.query(`alter table ${table} disable trigger all`)
    else for (const name of ['unchanged', 'kept']) await rows.query(`drop trigger ${table}_${name}`)
  }
}

export function actOf(action: string, sid: string | null = null): Act {
  return {
    actor: { type: 'operator', id: 'operator', name: 'operator' },
    from: { address: '192.0.2.1', agent: 'a test', interface: 'admin' },
    action,
    target: { type: 'fact', sid, table: null },
    account_sid: null,
    request_id: null,
    input: null,
  }
}
