import { sql } from 'kysely'
import { parseStored } from '../json.ts'
import { long, type Tx } from '../storage/database.ts'
import { insertRow, rowsBefore, rowsBy, rowsByNames, updateRow } from '../storage/rows.ts'
import type { SearchProgressRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import type { AnyResource, BaseRow } from './declare.ts'
import type { Registry } from './registry.ts'
import { scopeColumns } from './scope.ts'
import { documentFor } from './search.ts'

/** How far the documents of older rows have been written. */
export const searchProgress = rowsBy('search_progress', ['name'])
/** An empty place is before all rows. */
const beginProgress = shape<{ name: string }>()((db, a) =>
  db
    .insertInto('search_progress')
    .values({ name: a.name, place: sql.lit<string>('') })
    .onConflict((conflict) => conflict.column('name').doNothing()),
)
const updateProgress = updateRow('search_progress', ['name'], ['place'])
const documentBySid = rowsBy('search_documents', ['service_sid', 'sid'])
const lowestId = shape<{ readonly none?: null }>()((db) =>
  db.selectFrom('search_documents').select((eb) => eb.fn.min<number | null>('id').as('id')),
)
const insertOlder = insertRow('search_documents', ['id', 'service_sid', 'sid', 'account_sid', 'conversation_sid', 'words'])
const deleteSomeDocuments = shape<{ after: number; limit: number }>()((db, a) =>
  db
    .deleteFrom('search_documents')
    .where('id', 'in', (eb) =>
      eb.selectFrom('search_documents').select('id').where('id', '>', a.after).orderBy('id').limit(a.limit),
    ),
)
const deleteProgress = shape<{ readonly none?: null }>()((db) => db.deleteFrom('search_progress').where(sql<boolean>`1 = 1`))

/** Returns the tables whose rows are found. */
export function searchedTables(registry: Registry): readonly string[] {
  return registry.resources.flatMap((resource) => (resource.searched ? [resource.table] : []))
}

/** Commands that make documents of rows from before there were any, and that delete all. Each is continued where it ended. */
export function searchCommands(registry: Registry) {
  // Those below others first: of them there are the most, and lists are of the latest.
  const searched = registry.resources.filter((resource) => resource.searched).toSorted((a, b) => depthOf(b) - depthOf(a))
  return {
    /** Writes the documents of a batch of older rows, the latest first. Returns whether there may be more. */
    indexSome: long(async (tx: Tx, { limit }: { limit: number }): Promise<boolean> => {
      for (const resource of searched) {
        // Locked, also before the first one: of several nodes one does a batch.
        await tx.run(beginProgress, { name: resource.table })
        const progress = await tx.hold(searchProgress, { name: resource.table }, 'change')
        if (!progress || progress.place === null) continue
        await indexBatch(tx, resource, progress, limit)
        return true
      }
      return false
    }),

    /** Deletes a batch of documents. Returns whether there may be more. */
    deleteDocuments: long(async (tx: Tx, { limit }: { limit: number }): Promise<boolean> => {
      await tx.run(deleteProgress, {})
      return (await tx.run(deleteSomeDocuments, { after: Number.MIN_SAFE_INTEGER, limit })) > 0
    }),

    /** Has all rows gone through again: there are some that were not written as others are. */
    indexAgain: async (tx: Tx, _input: null): Promise<void> => void (await tx.run(deleteProgress, {})),
  }
}

function depthOf(resource: AnyResource): number {
  return scopeColumns(resource).length
}

/** The columns of the primary key, in its order. */
function keyOf(resource: AnyResource): readonly string[] {
  const parents = scopeColumns(resource).filter((column) => column !== 'service_sid')
  return parents.length > 0 ? [...parents, 'sid', 'service_sid'] : ['service_sid', 'sid']
}

/** Behind all keys. */
const end = '~'

async function indexBatch(tx: Tx, resource: AnyResource, progress: SearchProgressRow, limit: number): Promise<void> {
  const { table } = resource
  const key = keyOf(resource)
  const stored = progress.place ? parseStored<object>(progress.place) : {}
  // A list is of a program from before, in whose order of messages other rows may be left: all are gone through again. So does that program.
  const place: Readonly<Record<string, string>> = Array.isArray(stored) ? {} : { ...stored }
  const after = key.map((column) => [`before_${column}`, place[column] ?? end])
  const keys = await tx.all(rowsBefore(table, key), { ...Object.fromEntries(after), limit })
  // Side by side, which an engine that is asked over a network answers at once. A row that is held cannot be changed meanwhile: its
  // document would come after the one of the change.
  const documents = await Promise.all(
    keys.map(async (one) => {
      const row = await tx.hold(rowsByNames<BaseRow>(table, key), one, 'change')
      const document = row && documentFor(resource, { ...row })
      return document && !(await tx.one(documentBySid, document)) ? [document] : []
    }),
  )
  // Numbered in the order of their rows: the latest are found first.
  const made = documents.flat().toReversed()
  const first = Math.min(0, Number((await tx.one(lowestId, {}))?.id ?? 0)) - made.length
  await Promise.all(made.map((document, i) => tx.run(insertOlder, { id: first + i, ...document })))
  const last = keys.at(-1)
  const next = last && keys.length === limit ? JSON.stringify(last) : null
  await tx.run(updateProgress, { name: table, place: next })
}
