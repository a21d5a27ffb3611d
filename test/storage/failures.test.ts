import { pino } from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { start } from '../../src/main.ts'
import { StorageError } from '../../src/storage/failures.ts'
import { misspelt } from '../support/batch-commands.ts'
import { kindOf, names, open, row } from '../support/batch-database.ts'
import { inspect, newDatabase } from '../support/databases.ts'

/** A new database that is closed and gone when the test is over. */
async function opened() {
  const place = await newDatabase()
  onTestFinished(() => place.dispose())
  return open(place.config)
}

describe('a defect of a command', () => {
  test.each([
    ['before it writes', 'trip', 'b', /^trip: .*check is not a function/, 'TypeError'],
    ['after it has written', 'putThenTrip', 'b', /^putThenTrip: .*check is not a function/, 'TypeError'],
    ['in a query', 'putThenMisspell', 'b', /^putThenMisspell: .*nmae/, /SqliteError|error/],
    ['that is missing', 'nonsense' as 'put', 'b', /^nonsense: there is no such command/, 'Error'],
    ['that breaks a constraint', 'put', 'taken', /^put: .*(UNIQUE|taken)/, /SqliteError|ConflictError/],
  ] as const)(
    '%s is `serverError` to its caller, undoes only itself, and is logged once with its stack',
    async (_, command, name, report, type) => {
      const { database, failures } = await opened()
      await database.write('put', row('taken'))
      const kinds = await Promise.all([
        kindOf(database.write('put', row('a'))),
        kindOf(database.write(command, row(name))),
        kindOf(database.write('put', row('c'))),
      ])
      expect(kinds).toEqual(['done', 'serverError', 'done'])
      expect(await names(database)).toEqual(['a', 'c', 'taken'])
      expect(failures.map(({ message }) => message)).toEqual([expect.stringMatching(report)])
      const [failure] = failures
      expect(failure).toBeInstanceOf(StorageError)
      expect(failure?.name).toMatch(type)
      expect(failure?.stack).toMatch(/\n {4}at .*\.(ts|js):\d+/)
    },
  )

  test('shows in the log where it is, and nothing of its input', async () => {
    const { database, failures } = await opened()
    expect(await kindOf(database.write('trip', row('a')))).toBe('serverError')
    expect(failures[0]?.stack).toContain('batch-commands.ts')
    expect(await kindOf(database.write('misread', row('b')))).toBe('serverError')
    expect(failures[1]).toMatchObject({ name: 'SyntaxError', message: 'misread: a text could not be parsed' })
    for (const failure of failures) expect(`${failure.stack}${JSON.stringify(failure)}`).not.toContain('secret')
  })
})

describe('a defect of a read', () => {
  test('is `serverError` to its caller and logged once; reads made with it are answered', async () => {
    const { database, failures } = await opened()
    await database.write('put', row('a'))
    const [kind, found] = await Promise.all([kindOf(database.read.one(misspelt, { name: 'secret' })), names(database)])
    expect(kind).toBe('serverError')
    expect(found).toEqual(['a'])
    expect(failures.map(({ message }) => message)).toEqual([expect.stringMatching(/^a read: .*nmae/)])
    expect(`${failures[0]?.stack}${JSON.stringify(failures[0])}`).not.toContain('secret')
  })
})

describe('through the whole server', () => {
  /** A server whose log is kept. */
  async function logged() {
    const place = await newDatabase()
    const lines: Record<string, unknown>[] = []
    const log = pino({ level: 'warn', base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
    const running = await start(
      { ...readConfig({ PORT: '0', PARLEY_SEARCH: 'false' }), ...place.config, auth_token: 'f'.repeat(32) },
      { log },
    )
    onTestFinished(async () => {
      await running.stop()
      await place.dispose()
    })
    const authorization = `Basic ${btoa(`${running.installation.account.sid}:${'f'.repeat(32)}`)}`
    const call = async (method: string, path: string) => {
      const response = await fetch(running.url + path, {
        method,
        headers: { authorization, ...(method === 'POST' && { 'content-type': 'application/x-www-form-urlencoded' }) },
      })
      return { status: response.status, body: (await response.json()) as { code?: number } }
    }
    return { place, lines, call }
  }

  test('a column that is missing answers 500 with code 20500, to a read and to a write, and is logged once each', async () => {
    const { place, lines, call } = await logged()
    expect(await call('POST', '/v1/Conversations')).toMatchObject({ status: 201 })
    await using look = inspect(place.config)
    await look.query('alter table conversations rename column friendly_name to friendly')
    expect(await call('POST', '/v1/Conversations')).toMatchObject({ status: 500, body: { code: 20500 } })
    expect(lines.map(({ msg }) => msg)).toEqual(['a read or write failed'])
    expect(lines[0]).toMatchObject({ level: 50, err: { message: expect.stringMatching(/^change: .*friendly_name/) } })
    expect(lines[0]?.err).toHaveProperty('stack', expect.stringContaining('\n    at '))
    await look.query('alter table conversations rename to old_conversations')
    expect(await call('GET', '/v1/Conversations')).toMatchObject({ status: 500, body: { code: 20500 } })
    expect(lines.slice(1)).toMatchObject([{ err: { message: expect.stringMatching(/^a read: /) } }])
  })
})
