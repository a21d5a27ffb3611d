import { type Compilable, PostgresAdapter, type RawBuilder, sql } from 'kysely'
import { type Query, type QueryWord, scopeWord } from '../words.ts'
import type { Reader } from './database.ts'
import type { SearchDocumentRow } from './schema.ts'
import { type Builder, shape } from './shapes.ts'

/** What documents are looked for, and where. */
export interface SearchRequest {
  readonly query: Query
  /** Of the rows: prefixes of their SIDs. Empty: all. */
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

/**
 * On PostgreSQL, rows among which a page is looked for first: a word of more than a hundredth of all fills it there, and what is rarer
 * is sorted quickly. FTS5 has its rows in order.
 */
const latest = 2000
/** Rows that are sorted at most. */
const maxSorted = 20_000
/** Counted no further: a badge must not cost a scan. */
export const maxCounted = 1000

function isPostgres(db: Builder): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter
}

/** Words of a scope are shortened: this is what they stand for. */
function inScope(a: Args) {
  return sql<boolean>`(${a.account_sid} = '' or d.account_sid = ${a.account_sid}) and (${a.service_sid} = '' or d.service_sid = ${a.service_sid})`
}

interface LatestRow extends SearchHit {
  /** How many rows were looked at. */
  readonly scanned: number
}

const amongLatest = shape<Args>()((db, a) =>
  raw<LatestRow>(
    db,
    isPostgres(db)
      ? sql`with latest as materialized
          (select * from search_documents where id < ${a.before} order by id desc limit ${sql.lit(latest)})
        select ${columnList}, (select count(*) from latest) as scanned
        from latest as d where d.words @@ ${a.tsquery}::tsquery and ${inScope(a)} order by d.id desc`
      : sql`select ${columnList}, 0 as scanned from search_documents as d where d.id is null`,
  ),
)

/** How many rows have a word, counted up to the limit. FTS5 collects all rows with a beginning of a word before it returns the first. */
const countWhole = shape<Pick<Args, 'fts5' | 'limit'>>()((db, a) =>
  raw<{ count: number }>(
    db,
    isPostgres(db)
      ? sql`select 0 as count`
      : sql`select count(*) as count from (select 1 from search_words where search_words match ${a.fts5} limit ${a.limit})`,
  ),
)

const byIndex = shape<Args>()((db, a) =>
  raw<SearchHit>(
    db,
    isPostgres(db)
      ? sql`with found as materialized
          (select ${columnList} from search_documents as d where d.words @@ ${a.tsquery}::tsquery and d.id < ${a.before} limit ${sql.lit(maxSorted)})
        select * from found as d where ${inScope(a)} order by d.id desc limit ${a.limit}`
      : sql`select ${columnList} from search_words cross join search_documents as d on d.id = search_words.rowid
        where search_words match ${a.fts5} and search_words.rowid < ${a.before} and ${inScope(a)}
        order by search_words.rowid desc limit ${a.limit}`,
  ),
)

function raw<R>(db: Builder, query: RawBuilder<R>): Compilable<R> {
  return { compile: () => query.compile(db) }
}

/** Returns the terms of a request: those of the query, and those that say what a document is about. */
function termsOf({ query, prefixes, account_sid, service_sid }: SearchRequest): Query {
  const scope = [service_sid, account_sid].flatMap((sid) => (sid === undefined ? [] : [[[exactly(scopeWord(sid))]]]))
  const kind = prefixes.map((prefix) => [exactly(scopeWord(prefix))])
  return [...query, ...scope, ...(kind.length > 0 ? [kind] : [])]
}

/** Returns terms in the form of each engine. */
function expressionsOf(terms: Query): Pick<Args, 'fts5' | 'tsquery'> {
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

export interface SearchResult {
  /** The latest first. */
  readonly found: readonly SearchHit[]
  /** How many there are, counted as far as it costs little. */
  readonly total: number
  /** Whether there may be more. */
  readonly capped: boolean
}

/** Returns the documents that match before an id, at most `limit` of them. */
export async function findDocuments(
  read: Pick<Reader, 'all'>,
  request: SearchRequest,
  { before, limit }: { readonly before: number; readonly limit: number },
): Promise<SearchResult> {
  if (request.query.length === 0) return { found: [], total: 0, capped: false }
  const { account_sid = '', service_sid = '' } = request
  const terms = await withoutCommonPrefix(read, termsOf(request))
  const args = { ...expressionsOf(terms), account_sid, service_sid, before, limit: maxCounted + 1 }
  const near = await read.all(amongLatest, args)
  const isAll = Number(near[0]?.scanned ?? 0) < latest
  if (near.length >= limit && !isAll) return { found: near.slice(0, limit), total: near.length, capped: true }
  const found = await read.all(byIndex, args)
  return {
    found: found.slice(0, limit),
    total: Math.min(found.length, maxCounted),
    capped: found.length > maxCounted,
  }
}

/** On SQLite a word that many rows have as it is stands for itself alone. */
async function withoutCommonPrefix(read: Pick<Reader, 'all'>, terms: Query): Promise<Query> {
  const narrowed = async (word: QueryWord): Promise<QueryWord> => {
    if (!word.prefix) return word
    const whole = exactly(word.text)
    const [counted] = await read.all(countWhole, { fts5: expressionsOf([[[whole]]]).fts5, limit: maxCounted + 1 })
    return Number(counted?.count ?? 0) > maxCounted ? whole : word
  }
  const ofTerm = (term: Query[number]) => Promise.all(term.map((words) => Promise.all(words.map(narrowed))))
  return Promise.all(terms.map(ofTerm))
}
