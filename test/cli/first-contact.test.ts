import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { settings } from '../../src/config.ts'
import { newDatabase, type TestDatabase } from '../support/databases.ts'
import { postgresOnly, sqliteOnly } from '../support/only.ts'
import { folder, parley, program, serve } from '../support/process.ts'
import { stranger } from '../support/stranger.ts'

const quiet = { PARLEY_LOG_LEVEL: 'silent', PORT: '0' }
const settingsOf = ({ env }: TestDatabase, more: Record<string, string> = {}) => ({ env: { ...env, ...quiet, ...more } })
const onFile = (file: string, more: Record<string, string> = {}) => ({
  env: { PARLEY_DATABASE_URL: `sqlite:${file}`, ...quiet, ...more },
})

describe('variables', () => {
  test('one that is no setting is warned about; its value is not shown', async () => {
    using place = folder()
    const { stderr } = await parley(['accounts', 'list'], { cwd: place.path, env: { PARLEY_AUTH_TOKN: 'hidden' } })
    expect(stderr).toContain('parley: PARLEY_AUTH_TOKN is not a setting and has no effect: PARLEY_AUTH_TOKEN may be meant\n')
    expect(stderr).not.toContain('hidden')
  })

  test('a setting that is true or false is a flag without a value', async () => {
    expect(settings.filter(({ isSwitch }) => isSwitch).map(({ flag }) => flag)).toContain('test-clock')
    await using database = await newDatabase()
    const token = { PARLEY_ADMIN_TOKEN: 'operator-token-of-the-test' }
    const clock = async (args: string[], more: Record<string, string> = {}) => {
      await using server = await serve(settingsOf(database, { ...token, ...more }), args)
      const headers = { authorization: `Bearer ${token.PARLEY_ADMIN_TOKEN}` }
      return (await fetch(`${server.url}/admin/v1/clock`, { headers })).status
    }
    expect(await clock(['--test-clock'])).toBe(200)
    expect(await clock([])).toBe(404)
    expect(await clock([], { PARLEY_TEST_CLOCK: 'true' })).toBe(200)
    expect(await clock(['--no-test-clock'], { PARLEY_TEST_CLOCK: 'true' })).toBe(404)
  })
})

describe('output', () => {
  test.each([[['--help']], [['--version']], [['serve', '--help']], [['accounts', '--help']]])(
    '%j to a full disk does not succeed',
    async (args) => {
      const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'] })
      let said = ''
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
      await once(child, 'close')
      expect(said).toBe('parley: the output cannot be written (ENOSPC)\n')
      expect(child.exitCode).toBe(1)
    },
  )

  test('tokens that were given are not printed, by flag or variable', async () => {
    await using database = await newDatabase()
    const given = { PARLEY_AUTH_TOKEN: 'givenToken1', PARLEY_ADMIN_TOKEN: 'given-operator-token' }
    await using server = await serve(settingsOf(database, given))
    await server.end('SIGTERM')
    await using other = await newDatabase()
    await using flagged = await serve(settingsOf(other), ['--auth-token', 'givenToken1', '--admin-token', 'given-operator-token'])
    for (const said of [server.stdout(), flagged.stdout()]) {
      expect(said).toContain('as given by PARLEY_AUTH_TOKEN')
      expect(said).toContain('as given by PARLEY_ADMIN_TOKEN')
      expect(said).not.toMatch(/givenToken1|given-operator-token/)
    }
  })

  test('every file that the first start names exists', async () => {
    await using database = await newDatabase()
    await using server = await serve(settingsOf(database))
    const [, file = ''] = /operator token {2}in (\S+)$/m.exec(server.stdout()) ?? []
    expect(existsSync(file)).toBe(true)
  })

  test('a browser that opens the server finds a page, without a script and with nothing of the installation', async () => {
    await using database = await newDatabase()
    await using server = await serve(settingsOf(database))
    const response = await fetch(server.url)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const page = await response.text()
    expect(page).toMatch(/^<!doctype html>/)
    expect(page).not.toMatch(/<script|AC[0-9a-f]{32}/)
    expect((await fetch(server.url, { method: 'POST' })).status).toBe(404)
  })
})

test.each(['SIGHUP', 'SIGTERM', 'SIGINT'] as const)('%s lets the request in flight end, then the server', async (signal) => {
  await using database = await newDatabase()
  const [sid, token] = [`AC${'0'.repeat(32)}`, '0123456789abcdef']
  await using server = await serve(settingsOf(database, { PARLEY_ACCOUNT_SID: sid, PARLEY_AUTH_TOKEN: token }))
  const headers = {
    authorization: `Basic ${btoa(`${sid}:${token}`)}`,
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': 14,
    expect: '100-continue',
  }
  const asked = request(`${server.url}/v1/Conversations`, { method: 'POST', headers })
  const answered = once(asked, 'response')
  asked.flushHeaders()
  await once(asked, 'continue')
  server.signal(signal)
  // Once it is stopping, it accepts no more connections.
  await expect.poll(() => isAccepting(server.url)).toBe(false)
  asked.end('FriendlyName=x')
  const [response] = (await answered) as [IncomingMessage]
  expect(response.statusCode).toBe(201)
  response.resume()
  expect(await server.ended).toMatchObject({ code: 0, signal: null, stderr: '' })
})

function isAccepting(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

describe('a refused start writes nothing', () => {
  test('when the port is taken', async () => {
    using place = folder()
    await using other = await stranger((_, response) => void response.end())
    const ended = await parley(['serve', '--port', String(other.port)], { cwd: place.path })
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toContain('is in use')
    expect(readdirSync(place.path)).toEqual([])
  })

  test('when the port of the metrics is taken, or the address is not of this machine', async () => {
    using place = folder()
    await using other = await stranger((_, response) => void response.end())
    for (const args of [
      ['--metrics-port', String(other.port)],
      ['--host', '192.0.2.1'],
    ]) {
      expect(await parley(['serve', '--port', '0', ...args], { cwd: place.path })).toMatchObject({ code: 1, stdout: '' })
    }
    expect(readdirSync(place.path)).toEqual([])
  })

  test('when a secret is damaged or the media are those of another installation', async () => {
    await using database = await newDatabase({ untouched: true })
    const dir = database.env.PARLEY_DATA_DIR
    writeFileSync(join(dir, 'parley.key'), 'nonsense')
    expect((await parley(['serve'], settingsOf(database))).stderr).toContain('64 hex digits')
    writeFileSync(join(dir, 'parley.key'), `${'1'.repeat(64)}\n`)
    mkdirSync(join(dir, 'parley.media'))
    writeFileSync(join(dir, 'parley.media', 'installation'), 'of another one')
    expect((await parley(['serve'], settingsOf(database))).stderr).toContain('contains the media of another installation')
    expect(readdirSync(dir).toSorted()).toEqual(['parley.key', 'parley.media'])
    // And the database is as empty as it was.
    const { stderr } = await parley(['migrate', '--check'], settingsOf(database))
    expect(stderr).toMatch(/does not exist|lacks 0001-first/)
  })
})

sqliteOnly('folders', () => {
  test('are made with those above them', async () => {
    using place = folder()
    await using server = await serve({ cwd: place.path, ...onFile('a/b/parley.db', { PARLEY_DATA_DIR: 'c/d' }) })
    await server.end('SIGTERM')
    expect(existsSync(place.file('a/b/parley.db'))).toBe(true)
    expect(existsSync(place.file('c/d/parley.key'))).toBe(true)
  })
})

describe('commands without an installation', () => {
  test.each([
    [['accounts', 'list']],
    [['accounts', 'rotate', 'AC0']],
    [['accounts', 'delete', 'AC0']],
    [['keys', 'list', 'AC0']],
  ])('%j creates none, and says where it looked', async (args) => {
    await using database = await newDatabase({ untouched: true })
    const before = readdirSync(database.env.PARLEY_DATA_DIR)
    const { code, stdout, stderr } = await parley(args, settingsOf(database))
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    const { database: location } = database.config
    const place = location.engine === 'sqlite' ? location.file : new URL(location.url).pathname
    expect(stderr).toMatch(/^parley: .* has no installation, and a server on 127\.0\.0\.1:0 cannot be recognised .*: start one/)
    expect(stderr).toContain(place)
    expect(readdirSync(database.env.PARLEY_DATA_DIR)).toEqual(before)
    expect((await parley(['migrate', '--check'], settingsOf(database))).stderr).toMatch(/does not exist|lacks 0001-first/)
  })

  test('of a database in memory say that only its server has it', async () => {
    const { stderr } = await parley(['accounts', 'create'], { env: { PARLEY_DATABASE_URL: 'sqlite::memory:' } })
    expect(stderr).toMatch(/^parley: a database in memory can only be reached in its server, and /)
  })
})

postgresOnly('in the folder of an installation on SQLite', () => {
  test('one on PostgreSQL is refused before anything is written, and starts with a folder of its own', async () => {
    using place = folder()
    await using first = await serve({ cwd: place.path, env: quiet })
    await first.end('SIGTERM')
    await using database = await newDatabase({ untouched: true })
    const { PARLEY_DATABASE_URL } = database.env
    const refused = await parley(['serve'], { cwd: place.path, env: { ...quiet, PARLEY_DATABASE_URL } })
    expect(refused.stderr).toMatch(/contains the media of another installation: set PARLEY_DATA_DIR to another folder/)
    expect((await parley(['migrate', '--check'], settingsOf(database))).stderr).toContain('lacks 0001-first')
    const own = { ...quiet, PARLEY_DATABASE_URL, PARLEY_DATA_DIR: 'data/shared' }
    await using server = await serve({ cwd: place.path, env: own })
    expect(server.url).toMatch(/^http:/)
    expect(readFileSync(place.file('data/shared/parley.key'), 'utf8')).toMatch(/^[0-9a-f]{64}\n$/)
  })
})
