import { describe, expect, onTestFinished, test } from 'vitest'
import { refuse } from '../../../src/errors.ts'
import type { Commands, Tx } from '../../../src/storage/database.ts'
import type { FailureKind } from '../../../src/storage/failures.ts'
import { deleteRow, insertRow } from '../../../src/storage/rows.ts'
import { BatchRunner, type Outcome } from '../../../src/storage/sqlite/batch.ts'
import { openConnection } from '../../../src/storage/sqlite/connection.ts'
import { SqliteReader } from '../../../src/storage/sqlite/reader.ts'
import { everything } from '../../support/batch-commands.ts'
import { folder } from '../../support/process.ts'
import { migrated } from './migrated.ts'

/** A runner on a database file of its own, with the reader of another connection beside it. */
async function runner(commands: Commands) {
  const place = folder()
  const db = await migrated(place.file('parley.db'))
  const reader = new SqliteReader(openConnection(place.file('parley.db'), { readonly: true, durable: true }))
  onTestFinished(() => {
    reader.close()
    db.close()
    place[Symbol.dispose]()
  })
  const batch = new BatchRunner(db, commands)
  const seen = async () => {
    reader.refresh()
    return (await reader.all(everything, {})).map(({ name }) => name)
  }
  return { run: (...jobs: [string, unknown][]) => batch.run(jobs.map(([name, input]) => ({ name, input }))), seen, db }
}

async function insert(tx: Tx, name: string): Promise<void> {
  await tx.run(insertRow('installation', ['name', 'value']), { name, value: `value of ${name}` })
}

function value(outcome: Outcome | undefined): unknown {
  return outcome && 'value' in outcome ? outcome.value : outcome
}

/** As it crosses to the main thread. */
function failure(kind: FailureKind, message: RegExp) {
  return expect.objectContaining({ kind, message: expect.stringMatching(message) })
}

describe('a batch', () => {
  test('runs its commands in order, each on what the ones before have written', async () => {
    const { run, seen } = await runner({
      put: async (tx, name: string) => {
        const before = (await tx.all(everything, {})).map((each) => each.name)
        await insert(tx, name)
        return before
      },
    })
    const outcomes = await run(['put', 'a'], ['put', 'b'], ['put', 'c'])
    expect(outcomes.map(value)).toEqual([[], ['a'], ['a', 'b']])
    expect(await seen()).toEqual(['a', 'b', 'c'])
  })

  test('is seen by readers as a whole, after its commit', async () => {
    const during: string[][] = []
    const { run, seen } = await runner({
      put: async (tx, name: string) => {
        await insert(tx, name)
        during.push(await seen())
      },
    })
    await run(['put', 'a'], ['put', 'b'])
    expect(during).toEqual([[], []])
    expect(await seen()).toEqual(['a', 'b'])
  })

  test('with one that fails after it has written undoes only that one', async () => {
    const { run, seen } = await runner({
      put: async (tx, name: string) => {
        await insert(tx, name)
        tx.notify({ topic: 'removal' })
        return name
      },
      fail: async (tx, name: string) => {
        await insert(tx, name)
        tx.notify({ topic: 'due', at: 1 })
        throw new Error(`out of luck with ${name}`)
      },
      refuse: async (tx, name: string) => {
        await insert(tx, name)
        tx.notify({ topic: 'due', at: 2 })
        throw refuse('notFound', { path: `/${name}` })
      },
    })
    const outcomes = await run(['put', 'a'], ['fail', 'b'], ['put', 'c'], ['refuse', 'd'], ['put', 'e'])
    expect(outcomes).toEqual([
      { value: 'a', notices: [{ topic: 'removal' }] },
      { failed: failure('serverError', /out of luck with b/) },
      { value: 'c', notices: [{ topic: 'removal' }] },
      { refused: { kind: 'notFound', details: { path: '/d' } } },
      { value: 'e', notices: [{ topic: 'removal' }] },
    ])
    expect(await seen()).toEqual(['a', 'c', 'e'])
  })

  test('with one that refuses before it writes runs every command once', async () => {
    const ran: string[] = []
    const { run, seen } = await runner({
      put: async (tx, name: string) => {
        ran.push(name)
        await insert(tx, name)
      },
      refuse: async (_tx, name: string) => {
        ran.push(name)
        throw refuse('conflict')
      },
    })
    const outcomes = await run(['put', 'a'], ['refuse', 'b'], ['put', 'c'])
    expect(outcomes[1]).toEqual({ refused: { kind: 'conflict', details: {} } })
    expect(ran).toEqual(['a', 'b', 'c'])
    expect(await seen()).toEqual(['a', 'c'])
  })

  test('of one that fails leaves nothing, and the next batch goes on', async () => {
    const { run, seen } = await runner({
      put: async (tx, name: string) => insert(tx, name),
      fail: async (tx, name: string) => {
        await insert(tx, name)
        throw new Error('no')
      },
    })
    expect(await run(['fail', 'a'])).toEqual([{ failed: failure('serverError', /^no$/) }])
    expect(await seen()).toEqual([])
    await run(['put', 'b'])
    expect(await seen()).toEqual(['b'])
  })

  test('with a breach of a constraint fails that command alone', async () => {
    const { run, seen } = await runner({ put: async (tx, name: string) => insert(tx, name) })
    const outcomes = await run(['put', 'a'], ['put', 'a'], ['put', 'b'])
    expect(outcomes[1]).toEqual({ failed: failure('serverError', /UNIQUE/) })
    expect(await seen()).toEqual(['a', 'b'])
  })

  test('with a command that does not exist fails that command alone', async () => {
    const { run, seen } = await runner({ put: async (tx, name: string) => insert(tx, name) })
    const outcomes = await run(['put', 'a'], ['nonsense', null])
    expect(outcomes[1]).toEqual({ failed: failure('serverError', /no such command/) })
    expect(await seen()).toEqual(['a'])
  })

  test('on a full disk says so of what finds no room, and leaves nothing of it', async () => {
    const { run, seen, db } = await runner({
      put: async (tx, name: string) => insert(tx, name),
      fill: async (tx, name: string) => {
        await tx.run(insertRow('installation', ['name', 'value']), { name, value: 'x'.repeat(1_000_000) })
      },
    })
    db.pragma(`max_page_count = ${Number(db.pragma('page_count', { simple: true })) + 20}`)
    const outcomes = await run(['put', 'a'], ['fill', 'b'], ['put', 'c'])
    expect(outcomes[1]).toEqual({ failed: failure('unavailable', /full/) })
    // SQLite may undo the whole transaction then: what is answered is there, and nothing else.
    const kept = ['a', 'c'].filter((_, i) => 'value' in (outcomes[2 * i] ?? {}))
    expect(await seen()).toEqual(kept)
    await run(['put', 'd'])
    expect(await seen()).toEqual([...kept, 'd'])
  })
})

test('documents are in the index of words with their commit, as one part of it, whatever became of them before', async () => {
  const service_sid = 'IS1'
  const columns = ['service_sid', 'sid', 'account_sid', 'conversation_sid', 'words']
  const put = (tx: Tx, sid: string, words: string) =>
    tx.run(insertRow('search_documents', columns), { service_sid, sid, account_sid: 'AC1', conversation_sid: null, words })
  const { run, db } = await runner({
    put: (tx, [sid, words]: [string, string]) => put(tx, sid, words),
    drop: (tx, sid: string) => tx.run(deleteRow('search_documents', ['service_sid', 'sid']), { service_sid, sid }),
    fail: async (tx, sid: string) => {
      await put(tx, sid, 'never')
      throw new Error('no')
    },
  })
  const found = (word: string) =>
    db
      .prepare(
        'select d.sid from search_words cross join search_documents as d on d.id = search_words.rowid where search_words match ?',
      )
      .pluck()
      .all(word)
  const check = () => {
    // Compares the index with all documents.
    db.exec("insert into search_words (search_words, rank) values ('integrity-check', 1)")
    expect(db.prepare('select count(*) from search_waiting').pluck().get()).toBe(0)
  }
  await run(['put', ['a', 'one two']], ['put', ['b', 'two']], ['put', ['c', 'three']])
  check()
  expect(['one', 'two', 'three'].map(found)).toEqual([['a'], ['a', 'b'], ['c']])
  expect(db.prepare('select count(distinct segid) from search_words_idx').pluck().get()).toBe(1)
  // The last number is given again.
  await run(['drop', 'c'], ['put', ['c', 'four']], ['drop', 'c'], ['put', ['c', 'five']], ['put', ['d', 'six']], ['drop', 'd'])
  check()
  expect(['three', 'four', 'five', 'six'].map(found)).toEqual([[], [], ['c'], []])
  await run(['put', ['e', 'seven']], ['drop', 'a'], ['fail', 'x'], ['put', ['f', 'seven']])
  check()
  expect(['one', 'two', 'never', 'seven'].map(found)).toEqual([[], ['b'], [], ['e', 'f']])
  await run(['drop', 'b'], ['drop', 'c'], ['drop', 'e'], ['drop', 'f'])
  check()
  expect(['two', 'five', 'seven'].map(found)).toEqual([[], [], []])
})
