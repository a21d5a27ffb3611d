import { type Compilable, type RawBuilder, sql } from 'kysely'
import { type Query, type QueryWord, scopeWord } from '../words.ts'
import type { Reader } from './database.ts'
import type { SearchDocumentRow } from './schema.ts'
import { isPostgres } from './sets.ts'
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
  /** The same with `segmentMark` before each word. */
  readonly segmented: string
  /** Empty: all. */
  readonly account_sid: string
  readonly service_sid: string
  readonly before: number
  readonly limit: number
}

const columns = ['d.id', 'd.service_sid', 'd.sid', 'd.account_sid', 'd.conversation_sid'] as const
const columnList = sql.join(columns.map((column) => sql.ref(column)))

/** On PostgreSQL, rows among which a page is looked for first: a word of more than a hundredth of all fills it there. */
const latest = 2000
/** Of the rest, segments that are asked for one page: sixteen million rows. FTS5 has its rows in order. */
const segments = 1024
/** In a query, stands where a word of the index has the number of its segment (0028-search-by-segment). */
const segmentMark = '\ue002'
/** Counted no further: a badge must not cost a scan. */
export const maxCounted = 1000

/** Words of a scope are shortened: this is what they stand for. */
function inScope(a: Args) {
  return sql<boolean>`(${a.account_sid} = '' or d.account_sid = ${a.account_sid}) and (${a.service_sid} = '' or d.service_sid = ${a.service_sid})`
}

interface LatestRow extends SearchHit {
  /** How many rows were looked at; the row itself has no id where none has matched. */
  readonly scanned: number
}

/** Looks at the latest rows, whatever words they have. On SQLite at none. */
const amongLatest = shape<Args>()((db, a) =>
  raw<LatestRow>(
    db,
    isPostgres(db)
      ? sql`with latest as materialized
          (select * from search_documents where id < ${a.before} order by id desc limit ${sql.lit(latest)})
        select ${columnList}, looked.scanned
        from (select count(*) as scanned from latest) as looked
        left join latest as d on d.words @@ ${a.tsquery}::tsquery and ${inScope(a)} order by d.id desc limit ${a.limit}`
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

/** On PostgreSQL one row has no SID where there are segments that were not asked: they are those before its id. */
type FoundRow = SearchHit | (Pick<SearchHit, 'id'> & { readonly sid: null })

const byIndex = shape<Args>()((db, a) =>
  raw<FoundRow>(
    db,
    isPostgres(db)
      ? sql`select ${columnList}
        from (select (select max(id) from search_documents where id < ${a.before}) >> 14 as newest,
          (select min(id) from search_documents) >> 14 as oldest) as extent
        cross join lateral search_segments(${a.segmented}, ${a.before}, ${a.limit}, newest, oldest, ${sql.lit(segments)}) as d
        where d.sid is null or ${inScope(a)}`
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
function expressionsOf(terms: Query): Pick<Args, 'fts5' | 'tsquery' | 'segmented'> {
  const expression = (word: (word: QueryWord) => string, and: string, or: string) =>
    terms.map((term) => `(${term.map((words) => `(${words.map(word).join(and)})`).join(or)})`).join(and)
  const tsquery = (mark: string) => expression(({ text, prefix }) => `'${mark}${text}'${prefix ? ':*' : ''}`, ' & ', ' | ')
  return {
    fts5: expression(({ text, prefix }) => `"${text}"${prefix ? '*' : ''}`, ' AND ', ' OR '),
    tsquery: tsquery(''),
    segmented: tsquery(segmentMark),
  }
}

function exactly(text: string): QueryWord {
  return { text, prefix: false }
}

/** With fewer documents every beginning of a word is found soon enough. */
const fewDocuments = 100_000
/** Places of the table, and documents at each, that tell which words are frequent; and how many of these are looked at. */
const samplePlaces = 8
const sampleRows = 100
const maxSampled = 200

const extentOf = shape<{ readonly none?: null }>()((db) =>
  raw<{ first: number | null; last: number | null }>(
    db,
    isPostgres(db)
      ? sql`select null::bigint as first, null::bigint as last`
      : sql`select (select min(id) from search_documents) as first, (select max(id) from search_documents) as last`,
  ),
)

const sampleFrom = shape<{ after: number; limit: number }>()((db, a) =>
  raw<{ words: string }>(
    db,
    isPostgres(db)
      ? sql`select '' as words from search_documents where id > ${a.after} limit ${a.limit}`
      : sql`select words from search_documents where id > ${a.after} order by id limit ${a.limit}`,
  ),
)

/** Before all documents. */
export const newest = Number.MAX_SAFE_INTEGER

export interface SearchResult {
  /** The latest first. */
  readonly found: readonly SearchHit[]
  /** How many there are, counted as far as it costs little. */
  readonly total: number
  /** Whether there may be more. */
  readonly capped: boolean
  /** From where the next page goes on where that is not behind the last one of `found`: it has ended before it was full. */
  readonly next_before: number | null
}

/** Returns the documents that match before an id, at most `limit` of them. `most`: how many are counted, at least those of the page. */
export async function findDocuments(
  read: Pick<Reader, 'all'>,
  request: SearchRequest,
  { before, limit, most = maxCounted + 1 }: { readonly before: number; readonly limit: number; readonly most?: number },
): Promise<SearchResult> {
  if (request.query.length === 0) return { found: [], total: 0, capped: false, next_before: null }
  const { account_sid = '', service_sid = '' } = request
  const terms = await withoutCommonPrefix(read, termsOf(request))
  const args = { ...expressionsOf(terms), account_sid, service_sid, before, limit: most }
  const near = await read.all(amongLatest, args)
  const matching = near.filter(({ id }) => id !== null)
  const isAll = Number(near[0]?.scanned ?? 0) < latest
  if (matching.length >= limit && !isAll) {
    return { found: matching.slice(0, limit), total: matching.length, capped: true, next_before: null }
  }
  return findByIndex(read, args, limit)
}

async function findByIndex(read: Pick<Reader, 'all'>, args: Args, limit: number): Promise<SearchResult> {
  const rows = await read.all(byIndex, args)
  // A function gives its rows in order, but no query promises to keep it.
  const found = rows.filter((row) => row.sid !== null).toSorted((a, b) => b.id - a.id)
  const rest = rows.find((row) => row.sid === null)
  const end = rest ? Number(rest.id) : null
  return {
    found: found.slice(0, limit),
    total: Math.min(found.length, maxCounted),
    capped: found.length === args.limit || end !== null,
    next_before: found.length < limit ? end : null,
  }
}

/**
 * On SQLite a word that many rows have as it is stands for itself alone, and the beginning of one for the words of many rows that begin
 * with it, where there are such.
 */
async function withoutCommonPrefix(read: Pick<Reader, 'all'>, terms: Query): Promise<Query> {
  if (!terms.some((term) => term.some((words) => words.some(({ prefix }) => prefix)))) return terms
  const sample = await sampleOf(read)
  const narrowed = async (word: QueryWord): Promise<readonly QueryWord[]> => {
    if (!word.prefix) return [word]
    const whole = exactly(word.text)
    if (await isCommon(read, whole)) return [whole]
    const longer = sample.filter((text) => text.startsWith(word.text)).map(exactly)
    const common = await Promise.all(longer.map(async (each) => ((await isCommon(read, each)) ? [each] : [])))
    return common.flat().length > 0 ? [whole, ...common.flat()] : [word]
  }
  const ofTerm = async (term: Query[number]) =>
    (await Promise.all(term.map(async (words) => product(await Promise.all(words.map(narrowed)))))).flat()
  return Promise.all(terms.map(ofTerm))
}

async function isCommon(read: Pick<Reader, 'all'>, word: QueryWord): Promise<boolean> {
  const [counted] = await read.all(countWhole, { fts5: expressionsOf([[[word]]]).fts5, limit: maxCounted + 1 })
  return Number(counted?.count ?? 0) > maxCounted
}

/** Returns the ways to take one of each. */
function product(choices: readonly (readonly QueryWord[])[]): QueryWord[][] {
  return choices.reduce<QueryWord[][]>((ways, choice) => ways.flatMap((way) => choice.map((word) => [...way, word])), [[]])
}

/** Returns the words that are the most frequent in documents from all over the table, where there are very many. On PostgreSQL none. */
async function sampleOf(read: Pick<Reader, 'all'>): Promise<readonly string[]> {
  const [extent] = await read.all(extentOf, {})
  const { first, last } = extent ?? { first: null, last: null }
  if (first === null || last === null || last - first < fewDocuments) return []
  const step = Math.floor((last - first) / samplePlaces)
  const places = Array.from({ length: samplePlaces }, (_, i) =>
    read.all(sampleFrom, { after: first + i * step, limit: sampleRows }),
  )
  const counts = new Map<string, number>()
  for (const { words } of (await Promise.all(places)).flat()) {
    for (const word of words.split(' ')) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  const byCount = [...counts].filter(([, count]) => count > 1).sort(([, a], [, b]) => b - a)
  return byCount.slice(0, maxSampled).map(([word]) => word)
}
