import { type Compilable, PostgresAdapter, type RawBuilder, sql } from 'kysely'
import { type Query, type QueryWord, scopeWord } from '../words.ts'
import type { Reader } from './database.ts'
import type { SearchDocumentRow } from './schema.ts'
import { type Builder, shape } from './shapes.ts'

/** What documents are looked for, and where. */
export interface SearchRequest {
  readonly query: Query
  /** Of the rows: prefixes of their SIDs. At least one. */
  readonly prefixes: readonly string[]
  readonly account_sid?: string | undefined
  readonly service_sid?: string | undefined
}

export type SearchHit = Omit<SearchDocumentRow, 'words'>

interface Args {
  /** The expression in the engine's own form. */
  readonly fts5: string
  readonly tsquery: string
  /** Empty: all. */
  readonly account_sid: string
  readonly service_sid: string
  readonly before: number
  readonly limit: number
}

const columns = ['d.id', 'd.service_sid', 'd.sid', 'd.account_sid', 'd.conversation_sid'] as const
const columnList = sql.join(columns.map((column) => sql.ref(column)))

/** On PostgreSQL a word of more than a hundredth of all rows is found among so many of the latest; others by the index of words. */
const latest = 2000
/** Rows that are sorted at most. */
const maxSorted = 20_000

function isPostgres(db: Builder): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter
}

/** Words of a scope are shortened: this is what they stand for. */
function inScope(a: Args) {
  return sql<boolean>`(${a.account_sid} = '' or d.account_sid = ${a.account_sid}) and (${a.service_sid} = '' or d.service_sid = ${a.service_sid})`
}

/** SQLite: the index of words is read from its end. */
function byWords(a: Args) {
  return sql<SearchHit>`select ${columnList} from search_words cross join search_documents as d on d.id = search_words.rowid
    where search_words match ${a.fts5} and search_words.rowid < ${a.before} and ${inScope(a)}
    order by search_words.rowid desc limit ${a.limit}`
}

const amongLatest = shape<Args>()((db, a) =>
  raw<SearchHit>(
    db,
    isPostgres(db)
      ? sql`with latest as materialized
          (select * from search_documents where id < ${a.before} order by id desc limit ${sql.lit(latest)})
        select ${columnList} from latest as d where d.words @@ ${a.tsquery}::tsquery and ${inScope(a)}
        order by d.id desc limit ${a.limit}`
      : byWords(a),
  ),
)

const byIndex = shape<Args>()((db, a) =>
  raw<SearchHit>(
    db,
    isPostgres(db)
      ? sql`with found as materialized
          (select ${columnList} from search_documents as d where d.words @@ ${a.tsquery}::tsquery and d.id < ${a.before} limit ${sql.lit(maxSorted)})
        select * from found as d where ${inScope(a)} order by d.id desc limit ${a.limit}`
      : byWords(a),
  ),
)

const countShape = shape<Pick<Args, 'fts5' | 'tsquery' | 'limit'>>()((db, a) =>
  raw<{ count: number }>(
    db,
    isPostgres(db)
      ? sql`select count(*) as count from (select 1 from search_documents where words @@ ${a.tsquery}::tsquery limit ${a.limit}) as found`
      : sql`select count(*) as count from (select 1 from search_words where search_words match ${a.fts5} limit ${a.limit})`,
  ),
)

function raw<R>(db: Builder, query: RawBuilder<R>): Compilable<R> {
  return { compile: () => query.compile(db) }
}

/** Returns the expressions of both engines. */
function expressionsOf({ query, prefixes, account_sid, service_sid }: SearchRequest): Pick<Args, 'fts5' | 'tsquery'> {
  const scope = [service_sid, account_sid].flatMap((sid) => (sid === undefined ? [] : [[[exactly(scopeWord(sid))]]]))
  const kind = prefixes.map((prefix) => [exactly(scopeWord(prefix))])
  const terms = [...query, ...scope, kind]
  const expression = (word: (word: QueryWord) => string, and: string, or: string) =>
    terms.map((term) => `(${term.map((words) => `(${words.map(word).join(and)})`).join(or)})`).join(and)
  return {
    fts5: expression(({ text, prefix }) => `"${text}"${prefix ? '*' : ''}`, ' AND ', ' OR '),
    tsquery: expression(({ text, prefix }) => `'${text}'${prefix ? ':*' : ''}`, ' & ', ' | '),
  }
}

function exactly(text: string): QueryWord {
  return { text, prefix: false }
}

/** Before all documents. */
export const newest = Number.MAX_SAFE_INTEGER

/** Returns the documents that match, the latest first, at most `limit` of those before an id. */
export async function findDocuments(
  read: Pick<Reader, 'all'>,
  request: SearchRequest,
  { before, limit }: { readonly before: number; readonly limit: number },
): Promise<SearchHit[]> {
  if (request.query.length === 0) return []
  const { account_sid = '', service_sid = '' } = request
  const args = { ...expressionsOf(request), account_sid, service_sid, before, limit }
  const found = await read.all(amongLatest, args)
  return found.length === limit ? found : read.all(byIndex, args)
}

/** Returns how many documents match, counting no further than `max`. */
export async function countDocuments(read: Pick<Reader, 'one'>, request: SearchRequest, max: number): Promise<number> {
  if (request.query.length === 0) return 0
  return Number((await read.one(countShape, { ...expressionsOf(request), limit: max }))?.count ?? 0)
}
