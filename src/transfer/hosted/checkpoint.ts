import Sqlite, { type Database, type Statement } from 'better-sqlite3'
import { ConfigError } from '../../config-error.ts'
import { parseStored } from '../../json.ts'

/** What a resource can come to: the columns of the report. */
export type Fate = 'read' | 'unchanged' | 'skipped' | 'deleted'

/** Something that could not be taken, and why. */
export interface Problem {
  readonly kind: string
  readonly sid: string
  readonly reason: string
}

/** How many of a kind came to what. */
export interface Count {
  readonly kind: string
  readonly fate: Fate
  readonly amount: number
}

/** A row that was seen before. */
export interface Known {
  readonly hash: string
  /** The pass in which it was last handed over and stored; 0 when it was not yet. */
  readonly read_in: number
}

/** A conversation that was seen before. */
export interface KnownConversation extends Known {
  /** The state it was in when it was read. */
  readonly state: string
  /** The highest index of its messages that is stored; -1 for none. */
  readonly last_index: number
  /** Where reading its messages goes on in an interrupted pass. */
  readonly cursor: string | null
}

/** Who is read: two accounts must not share a checkpoint. */
export interface Source {
  readonly url: string
  readonly username: string
}

/** Layout of the file; another one is not read. */
const layout = 1

const tables = `
  create table meta (key text primary key, value text not null) without rowid;
  create table rows (
    sid text primary key, kind text not null, service text not null, parent text not null,
    hash text not null, read_in integer not null, seen_in integer not null,
    state text not null default '', last_index integer not null default -1, cursor text,
    retry_from integer
  ) without rowid;
  create index rows_under_way on rows (service) where cursor is not null;
  create index rows_by_parent on rows (kind, service, parent, seen_in);
  create table counts (pass integer, kind text, fate text, amount integer not null, primary key (pass, kind, fate)) without rowid;
  create table memberships (participant_sid text primary key, conversation_sid text not null) without rowid;
  create table creators (conversation_sid text primary key, created_by text not null) without rowid;
  create table deletions (pass integer, kind text, sid text, primary key (pass, kind, sid)) without rowid;
  create table problems (pass integer, kind text, sid text, reason text not null, primary key (pass, kind, sid)) without rowid;
`

/**
 * What has been read and stored, in a SQLite file: after a `kill -9` the next run goes on behind it, and a second pass compares
 * with it. Everything else may be read twice: storing a record again changes nothing.
 */
export class Checkpoint {
  readonly #db: Database
  readonly #statements = new Map<string, Statement>()

  /** Opens or makes the file. Throws ConfigError when it is of another account, or no checkpoint. */
  constructor(file: string, source: Source) {
    this.#db = open(file)
    const stored = this.#meta<Source & { layout: number }>('source')
    if (stored === null) this.#setMeta('source', { ...source, layout })
    else if (stored.layout !== layout || stored.url !== source.url || stored.username !== source.username) {
      this.#db.close()
      throw new ConfigError(
        `${file} belongs to an import of ${stored.username} at ${stored.url}: take another folder, or remove the file to start again`,
      )
    }
  }

  /** The pass that is under way, or else the last one; 0 before the first. */
  get pass(): number {
    return this.#meta<number>('pass') ?? 0
  }

  get isFinished(): boolean {
    return this.#meta<number>('finished') === this.pass
  }

  /** When the pass began, in ms. */
  get began(): number {
    return this.#meta<number>('began') ?? 0
  }

  begin(now: number): void {
    this.transaction(() => {
      this.#setMeta('pass', this.pass + 1)
      this.#setMeta('began', now)
    })
  }

  finish(): void {
    this.#setMeta('finished', this.pass)
  }

  /** A value of the pass that is kept with it, such as a position in a list. */
  note<T>(key: string): T | null {
    return this.#meta<T>(`${this.pass} ${key}`)
  }

  setNote(key: string, value: unknown): void {
    this.#setMeta(`${this.pass} ${key}`, value)
  }

  /** Runs `work` in one transaction. */
  transaction(work: () => void): void {
    this.#db.transaction(work)()
  }

  known(sid: string): Known | null {
    return (this.#run('select hash, read_in from rows where sid = ?').get(sid) as Known | undefined) ?? null
  }

  knownConversation(sid: string): KnownConversation | null {
    const statement = this.#run('select hash, read_in, state, last_index, cursor from rows where sid = ?')
    return (statement.get(sid) as KnownConversation | undefined) ?? null
  }

  /** A row is there, whether it is read or not. */
  seen(kind: string, sid: string, service: string, parent = ''): void {
    this.#run(
      `insert into rows (sid, kind, service, parent, hash, read_in, seen_in) values (?, ?, ?, ?, '', 0, ?)
       on conflict (sid) do update set seen_in = excluded.seen_in`,
    ).run(sid, kind, service, parent, this.pass)
  }

  /** A row is stored in this form. */
  stored(sid: string, hash: string): void {
    this.#run('update rows set hash = ?, read_in = ? where sid = ?').run(hash, this.pass, sid)
  }

  /** The conversation whose messages are not all stored yet, though some are. */
  interrupted(service: string): string | null {
    const row = this.#run('select sid from rows where service = ? and cursor is not null').get(service)
    return (row as { sid: string } | undefined)?.sid ?? null
  }

  /** Messages of a conversation are stored, up to this index. */
  reached(sid: string, lastIndex: number, cursor: string | null): void {
    this.#run('update rows set last_index = max(last_index, ?), cursor = ? where sid = ?').run(lastIndex, cursor, sid)
  }

  /** Something of a message could not be read: the next pass reads the messages again, from this one on. */
  retryFrom(sid: string, index: number): void {
    this.#run('update rows set retry_from = min(coalesce(retry_from, ?), ?) where sid = ?').run(index, index, sid)
  }

  /** A conversation is stored with all that is in it, but for what is to be read again. */
  conversationStored(sid: string, hash: string, state: string): void {
    this.#run(
      `update rows set read_in = ?, state = ?, cursor = null, retry_from = null,
         hash = case when retry_from is null then ? else '' end,
         last_index = case when retry_from is null then last_index else retry_from - 1 end
       where sid = ?`,
    ).run(this.pass, state, hash, sid)
  }

  /** SIDs of a list that was read to its end in this pass, but no longer had them. */
  absent(kind: string, service: string, parent = ''): string[] {
    const statement = this.#run('select sid from rows where kind = ? and service = ? and parent = ? and seen_in < ?')
    return (statement.all(kind, service, parent, this.pass) as { sid: string }[]).map(({ sid }) => sid)
  }

  services(): string[] {
    return (this.#run(`select sid from rows where kind = 'service' order by sid`).all() as { sid: string }[]).map(
      ({ sid }) => sid,
    )
  }

  /** Notes that something is no longer there. */
  deleted(kind: string, sid: string): void {
    this.#run('insert or ignore into deletions (pass, kind, sid) values (?, ?, ?)').run(this.pass, kind, sid)
  }

  deletions(): readonly { readonly kind: string; readonly sid: string }[] {
    const statement = this.#run('select kind, sid from deletions where pass = ? order by kind, sid')
    return statement.all(this.pass) as { kind: string; sid: string }[]
  }

  /** Notes whether a participant has muted the conversation. */
  setMuted(participant_sid: string, conversation_sid: string, isMuted: boolean): void {
    if (isMuted) {
      this.#run('insert or ignore into memberships (participant_sid, conversation_sid) values (?, ?)').run(
        participant_sid,
        conversation_sid,
      )
    } else this.#run('delete from memberships where participant_sid = ?').run(participant_sid)
  }

  isMuted(participant_sid: string): boolean {
    return this.#run('select 1 from memberships where participant_sid = ?').get(participant_sid) !== undefined
  }

  /** Notes who made a conversation. */
  setCreator(conversation_sid: string, createdBy: string): void {
    this.#run('insert or ignore into creators (conversation_sid, created_by) values (?, ?)').run(conversation_sid, createdBy)
  }

  creator(conversation_sid: string): string | null {
    const row = this.#run('select created_by from creators where conversation_sid = ?').get(conversation_sid)
    return (row as { created_by: string } | undefined)?.created_by ?? null
  }

  forget(sid: string): void {
    this.#run('delete from rows where parent = ?').run(sid)
    this.#run('delete from rows where sid = ?').run(sid)
  }

  count(kind: string, fate: Fate, amount = 1): void {
    if (amount === 0) return
    this.#run(
      `insert into counts (pass, kind, fate, amount) values (?, ?, ?, ?)
       on conflict (pass, kind, fate) do update set amount = amount + excluded.amount`,
    ).run(this.pass, kind, fate, amount)
  }

  counts(): readonly Count[] {
    const statement = this.#run('select kind, fate, amount from counts where pass = ? order by kind, fate')
    return statement.all(this.pass) as Count[]
  }

  problem({ kind, sid, reason }: Problem): void {
    this.#run('insert or replace into problems (pass, kind, sid, reason) values (?, ?, ?, ?)').run(this.pass, kind, sid, reason)
  }

  solved(kind: string, sid: string): void {
    this.#run('delete from problems where pass = ? and kind = ? and sid = ?').run(this.pass, kind, sid)
  }

  problems(): readonly Problem[] {
    const statement = this.#run('select kind, sid, reason from problems where pass = ? order by kind, sid')
    return statement.all(this.pass) as Problem[]
  }

  close(): void {
    this.#db.close()
  }

  #meta<T>(key: string): T | null {
    const row = this.#run('select value from meta where key = ?').get(key) as { value: string } | undefined
    return row ? parseStored<T>(row.value) : null
  }

  #setMeta(key: string, value: unknown): void {
    this.#run('insert or replace into meta (key, value) values (?, ?)').run(key, JSON.stringify(value))
  }

  #run(sql: string): Statement {
    const prepared = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.set(sql, prepared)
    return prepared
  }
}

function open(file: string): Database {
  let db: Database | undefined
  try {
    db = new Sqlite(file, { timeout: 0 })
    db.pragma('journal_mode = wal')
    // After a loss of power the last commits may be gone: they are read again.
    db.pragma('synchronous = normal')
    // Held until the end: two imports into one folder would write over each other.
    db.pragma('locking_mode = exclusive')
    db.exec('begin immediate; commit')
    if (db.prepare(`select 1 from sqlite_master where name = 'meta'`).get() === undefined)
      db.transaction(() => db?.exec(tables))()
    return db
  } catch (error) {
    db?.close()
    if (!(error instanceof Sqlite.SqliteError)) throw error
    const reason = error.code === 'SQLITE_BUSY' ? 'another import is using it' : error.message
    throw new ConfigError(`the checkpoint ${file} cannot be used: ${reason}`, { cause: error })
  }
}
