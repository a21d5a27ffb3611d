import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite, { type Database, type Statement } from 'better-sqlite3'
import { missingUser } from '../records/check.ts'
import { namesOf } from '../records/places.ts'
import type { Prepared } from '../records/prepare.ts'

/** What a file has so far: what it refers to, and the names that only one may have. In a temporary file, as there may be millions. */
export class Seen implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'parley-check-'))
  readonly #db: Database
  readonly #find: Statement<[string], { value: string; line: number }>
  readonly #add: Statement<[string, string, number]>

  constructor() {
    this.#db = new Sqlite(join(this.#folder, 'seen.db'))
    this.#db.pragma('journal_mode = OFF')
    this.#db.pragma('synchronous = OFF')
    this.#db.exec('create table seen (name text primary key, value text not null, line integer not null) without rowid')
    this.#find = this.#db.prepare('select value, line from seen where name = ?')
    this.#add = this.#db.prepare('insert or replace into seen (name, value, line) values (?, ?, ?)')
    this.#db.exec('begin')
  }

  /** Returns what is wrong with a record beside those before it, and adds it to them. */
  conflict(record: Prepared, line: number): string | undefined {
    if (!('sid' in record)) return undefined
    const state = this.#find.get(`conversation ${record.conversation_sid}`)?.value
    const names = namesOf(record, state !== 'closed')
    for (const { column, name } of names) {
      const holder = this.#find.get(`name ${name}`)
      if (holder && holder.value !== record.sid) return `its ${column} is that of ${holder.value} in line ${holder.line}`
    }
    const { service_sid, sid, kind, columns } = record
    const placed = this.#find.get(`${kind} ${sid}`)
    const place = [service_sid, record.conversation_sid].join(' ')
    if (placed && kind !== 'conversation' && placed.value !== place)
      return `its SID is that of line ${placed.line}, which is of something else`
    this.#add.run(`${kind} ${sid}`, kind === 'conversation' ? String(columns.state) : place, line)
    if (kind === 'user') this.#add.run(`${missingUser} ${service_sid} ${columns.identity}`, sid, line)
    for (const { name } of names) this.#add.run(`name ${name}`, sid, line)
    return undefined
  }

  /** Returns those that a record refers to, and that have not come before it. `missing`: those that are not stored. */
  absent(record: Prepared, missing: readonly string[]): readonly string[] {
    return missing.filter((name) => {
      if (name !== missingUser) return !this.#find.get(name)
      return !('sid' in record) || !this.#find.get(`${name} ${record.service_sid} ${record.columns.identity}`)
    })
  }

  [Symbol.dispose](): void {
    this.#db.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
