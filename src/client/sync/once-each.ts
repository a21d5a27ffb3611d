import type { Reader } from '../../storage/database.ts'
import type { Shape } from '../../storage/shapes.ts'

/** Returns a reader that asks for the same row once: the objects of one conversation are shown from the same few. */
export function onceEach(read: Reader): Reader {
  const rows = new Map<string, Promise<unknown>>()
  const one = <A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined> => {
    const key = `${query.id} ${Object.values(args).join('\0')}`
    // The key has the id of this query, so that the row has its type.
    const known = rows.get(key) as Promise<R | undefined> | undefined
    const row = known ?? read.one(query, args)
    if (!known) rows.set(key, row)
    return row
  }
  return { one, hold: one, all: (query, args) => read.all(query, args) }
}
