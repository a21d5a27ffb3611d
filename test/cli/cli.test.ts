import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { readConfig, type SettingName, settings } from '../../src/config.ts'
import { ConfigError } from '../../src/config-error.ts'
import { copyUnderWay } from '../../src/installation/copy-marker.ts'
import { start } from '../../src/main.ts'
import { inspect, newDatabase, type TestDatabase } from '../support/databases.ts'
import { postgresOnly, sqliteOnly } from '../support/only.ts'
import { type Ended, folder, parley, type Serving, serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'

const account_sid = /^ {2}account SID {5}(AC[0-9a-f]{32})$/m
const token = /^ {2}auth token {6}([0-9a-f]{32})$/m

const quiet = { PARLEY_LOG_LEVEL: 'silent', PORT: '0' }

/** What every command of one installation is given. */
function installation({ env }: TestDatabase, more: Record<string, string> = {}) {
  return { env: { ...env, ...quiet, ...more } }
}

/** The same for a file, with everything else beside it. */
function fileInstallation(file: string, more: Record<string, string> = {}) {
  return { env: { PARLEY_DATABASE_URL: `sqlite:${file}`, ...quiet, ...more } }
}

/** Credentials as the first start prints them. */
function printed(stdout: string): { sid: string; auth_token: string } {
  return { sid: account_sid.exec(stdout)?.[1] ?? '', auth_token: token.exec(stdout)?.[1] ?? '' }
}

async function conversations(server: Serving, credentials: { sid: string; auth_token: string }): Promise<number> {
  const { v1 } = sdkFor(server, credentials.sid, credentials.auth_token).conversations
  return (await v1.conversations.list()).length
}

/** One sentence that says what to do, and no stack. */
function expectSentence({ code, stdout, stderr }: Ended, sentence: RegExp): void {
  expect(stderr).toMatch(sentence)
  expect(stderr).toMatch(/^parley: [^\n]+\n$/)
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
}

function mode(file: string): string {
  return (statSync(file).mode & 0o777).toString(8)
}

/** Somebody else's server on a port of this machine. */
async function stranger(body: string): Promise<AsyncDisposable & { readonly port: string }> {
  const server = createServer((_request, response) => response.end(body))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: String((server.address() as AddressInfo).port),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await once(server.close(), 'close')
    },
  }
}

describe('help', () => {
  test('--help lists the commands', async () => {
    const { code, stdout, stderr } = await parley(['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const command of ['serve', 'accounts', 'keys']) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
  })

  test('--version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
    expect((await parley(['--version'])).stdout).toBe(`${version}\n`)
  })

  test('serve --help lists every setting, its variable and its default, and shows no value', async () => {
    const { code, stdout } = await parley(['serve', '--help'], { env: { PARLEY_AUTH_TOKEN: 'not-to-be-shown' } })
    expect(code).toBe(0)
    const text = stdout.replace(/\s+/g, ' ')
    for (const { env, flag, description, default: standard, isSwitch } of settings) {
      const named = isSwitch ? `--${flag} ` : `--${flag} <value> `
      const off = isSwitch ? ` (--no-${flag}: false)` : ''
      expect(text).toContain(`${named}${description} (default: ${standard})${off} (env: ${env})`)
    }
    expect(stdout).not.toContain('not-to-be-shown')
  })

  test.each([
    [['nonsense'], "unknown command 'nonsense'"],
    [['serve', '--nonsense', '1'], "unknown option '--nonsense'"],
    [['accounts', 'rotate'], "missing required argument 'sid'"],
  ])('%j: an error, and nothing is made', async (args, message) => {
    using place = folder()
    const { code, stdout, stderr } = await parley(args, { cwd: place.path })
    expect(stderr).toContain(`error: ${message}`)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(readdirSync(place.path)).toEqual([])
  })
})

describe('errors that a person can act on', () => {
  test('a port that is taken', async () => {
    await using database = await newDatabase()
    await using other = await stranger('')
    const ended = await parley(['serve', '--port', other.port], installation(database))
    expectSentence(ended, new RegExp(`port ${other.port} on 127\\.0\\.0\\.1 is in use: .*set PORT \\(--port\\)`))
    // And what it opened is closed: the next start finds it whole.
    await using server = await serve(installation(database))
    expect(server.url).toMatch(/^http:/)
  })

  describe('of the ports, found out before anything is written:', () => {
    const options = ['--port', '--metrics-port', '--gateway-port', '--gateway-tls-port']
    const free = { cwd: '', env: { PARLEY_LOG_LEVEL: 'silent' } }

    test.each(options)('%s is taken', async (option) => {
      using place = folder()
      await using other = await stranger('')
      const ended = await parley(['serve', '--port', '0', option, other.port], { ...free, cwd: place.path })
      expectSentence(ended, new RegExp(`port ${other.port} on 127\\.0\\.0\\.1 is in use: .*set [A-Z_]*PORT \\(${option}\\)`))
      expect(readdirSync(place.path)).toEqual([])
    })

    test.each(options.slice(1))('%s is that of --port, too', async (option) => {
      using place = folder()
      let port: string
      {
        await using other = await stranger('')
        port = other.port
      }
      const ended = await parley(['serve', '--port', port, option, port], { ...free, cwd: place.path })
      expectSentence(
        ended,
        new RegExp(`PORT \\(--port\\) and PARLEY_\\w+ \\(${option}\\) are both ${port}: set one to another port`),
      )
      expect(readdirSync(place.path)).toEqual([])
    })
  })

  test.each(['/dev/null', '/etc/passwd/x', ...(process.platform === 'linux' ? ['/proc/parley', '/proc'] : [])])(
    '%s as data folder; nothing is made',
    async (dir) => {
      using place = folder()
      const ended = await parley(['serve', '--data-dir', dir], { cwd: place.path, env: quiet })
      expectSentence(ended, new RegExp(`PARLEY_DATA_DIR \\(--data-dir\\) ${dir} cannot be used \\(E.*set another folder`))
      expect(readdirSync(place.path)).toEqual([])
    },
  )

  test('an address that this machine does not have', async () => {
    await using database = await newDatabase()
    const ended = await parley(['serve', '--host', '192.0.2.1'], installation(database))
    expectSentence(ended, /this machine has no address 192\.0\.2\.1: set HOST \(--host\)/)
  })

  test('a malformed PARLEY_DATABASE_URL, shown without its password; nothing is made', async () => {
    using place = folder()
    const ended = await parley(['serve'], { cwd: place.path, env: { PARLEY_DATABASE_URL: 'mysql://root:hidden@db/parley' } })
    expectSentence(ended, /PARLEY_DATABASE_URL must be sqlite:<file>, sqlite::memory: or postgres:\/\/…, not mysql:\/\/…/)
    expect(ended.stderr).not.toContain('hidden')
    expect(readdirSync(place.path)).toEqual([])
  })

  test('a bad PORT; nothing is made', async () => {
    using place = folder()
    const ended = await parley(['serve'], { cwd: place.path, env: { PORT: 'eighty' } })
    expectSentence(ended, /PORT must be a whole number from 0 to 65535, not eighty/)
    expect(readdirSync(place.path)).toEqual([])
  })

  const bad: [SettingName, string, RegExp][] = [
    ['PORT', '65536', /^PORT must be a whole number from 0 to 65535, not 65536$/],
    ['PORT', '-1', /^PORT must be a whole number/],
    ['PORT', '1e3', /^PORT must be a whole number/],
    ['PARLEY_DATABASE_URL', 'sqlite:', /^PARLEY_DATABASE_URL must be sqlite:<file>/],
    ['PARLEY_DATABASE_URL', 'sqlite://parley.db', /^PARLEY_DATABASE_URL must be sqlite:<file>/],
    ['PARLEY_DATABASE_URL', 'postgres:parley', /^PARLEY_DATABASE_URL must be sqlite:<file>.* or postgres:\/\/…/],
    ['PARLEY_DATABASE_URL', 'parley.db', /^PARLEY_DATABASE_URL must be sqlite:<file>/],
    ['PARLEY_WEBHOOK_RETRIES', '4', /^PARLEY_WEBHOOK_RETRIES must be a whole number from 0 to 3, not 4$/],
    ['PARLEY_DELIVERY_LOG_DAYS', 'a week', /^PARLEY_DELIVERY_LOG_DAYS must be a whole number/],
    ['PARLEY_GATEWAY_ALLOW', 'foo.com', /^PARLEY_GATEWAY_ALLOW must be hosts of twilio\.com, not foo\.com: /],
    [
      'PARLEY_GATEWAY_ALLOW',
      'api.twilio.com, xtwilio.com',
      /^PARLEY_GATEWAY_ALLOW must be hosts of twilio\.com, not xtwilio\.com: /,
    ],
    ['PARLEY_GATEWAY_ALLOW', 'api.twilio.com.evil.example', /^PARLEY_GATEWAY_ALLOW must be hosts of twilio\.com/],
    ['PARLEY_TEST_CLOCK', 'maybe', /^PARLEY_TEST_CLOCK must be true or false, not maybe$/],
    ['PARLEY_LOG_LEVEL', 'loud', /^PARLEY_LOG_LEVEL must be trace, debug/],
    ['PARLEY_PUBLIC_URL', 'ftp://example.org', /^PARLEY_PUBLIC_URL must be an http\(s\) URL/],
    ['PARLEY_ACCOUNT_SID', 'AC1', /^PARLEY_ACCOUNT_SID must be AC and 32 lower-case hex digits$/],
    ['PARLEY_AUTH_TOKEN', 'hidden', /^PARLEY_AUTH_TOKEN must be 8 to 256 letters and digits, as SDKs refuse other characters$/],
    ['PARLEY_AUTH_TOKEN', 'ci-token-1234567890', /^PARLEY_AUTH_TOKEN must be 8 to 256 letters and digits/],
    ['PARLEY_SECRET_KEY', 'hidden', /^PARLEY_SECRET_KEY must be 64 hex digits, for example from: openssl rand -hex 32$/],
    ['PARLEY_ADMIN_TOKEN', 'hidden', /^PARLEY_ADMIN_TOKEN must be 16 to 256 printable characters without spaces$/],
  ]
  test.each(bad)('%s=%s', (name, value, sentence) => {
    expect(() => readConfig({ [name]: value })).toThrow(ConfigError)
    expect(() => readConfig({ [name]: value })).toThrow(sentence)
  })

  test.each(['another key', 'no key file'])('the secret key is not the one of the database: %s', async (what) => {
    await using database = await newDatabase()
    {
      await using server = await serve(installation(database))
      await server.end('SIGTERM')
    }
    writeFileSync(join(database.env.PARLEY_DATA_DIR, 'parley.key'), what === 'another key' ? `${'0'.repeat(64)}\n` : 'nonsense')
    const given = what === 'another key' ? installation(database) : installation(database, { PARLEY_SECRET_KEY: '1'.repeat(64) })
    expectSentence(await parley(['serve'], given), /restore its \.key file, or set PARLEY_SECRET_KEY/)
  })

  test('the key of the database is gone: none is made in its place', async () => {
    await using database = await newDatabase()
    {
      await using server = await serve(installation(database))
      await server.end('SIGTERM')
    }
    const key = join(database.env.PARLEY_DATA_DIR, 'parley.key')
    rmSync(key)
    expectSentence(await parley(['serve'], installation(database)), /restore its \.key file, or set PARLEY_SECRET_KEY/)
    expect(existsSync(key)).toBe(false)
  })

  test('the media folder is that of another installation: nothing in it is touched', async () => {
    await using mine = await newDatabase()
    await using other = await newDatabase()
    {
      await using server = await serve(installation(other))
      await server.end('SIGTERM')
    }
    const files = () => readdirSync(join(other.env.PARLEY_DATA_DIR, 'parley.media'))
    const before = files()
    const given = installation(mine, { PARLEY_SECRET_KEY: '1'.repeat(64), PARLEY_DATA_DIR: other.env.PARLEY_DATA_DIR })
    expectSentence(await parley(['serve'], given), /contains the media of another installation: .*PARLEY_DATA_DIR/)
    expect(files()).toEqual(before)
  })

  test('a copy into the database is not finished', async () => {
    await using database = await newDatabase()
    {
      await using server = await serve(installation(database))
      await server.end('SIGTERM')
    }
    {
      await using inside = inspect(database.config)
      await inside.insert('installation', { name: copyUnderWay, value: 'half' })
    }
    expectSentence(await parley(['serve'], installation(database)), /run the same parley copy again/)
  })

  test('a key file with something else in it', async () => {
    await using database = await newDatabase()
    writeFileSync(join(database.env.PARLEY_DATA_DIR, 'parley.key'), 'nonsense')
    const ended = await parley(['serve'], installation(database))
    expectSentence(ended, /64 hex digits/)
    expect(ended.stderr).not.toContain('nonsense')
  })
})

sqliteOnly('errors about the file', () => {
  test('a data folder that is a file', async () => {
    using place = folder()
    writeFileSync(place.file('data'), 'not a folder')
    const ended = await parley(['serve'], fileInstallation(place.file('data/parley.db')))
    expectSentence(ended, /data folder of .*data\/parley\.db cannot be used .*: check its owner, or set PARLEY_DATABASE_URL/)
    expect(readFileSync(place.file('data'), 'utf8')).toBe('not a folder')
  })

  test('a database that is a folder', async () => {
    using place = folder()
    mkdirSync(place.file('parley.db'))
    const ended = await parley(['serve'], fileInstallation(place.file('parley.db')))
    expectSentence(ended, /parley\.db cannot be used|parley\.db is not a Parley database/)
  })

  // The superuser may do everything: it hands the work to somebody who may not.
  const uid = process.getuid?.() === 0 ? 65_534 : undefined
  test('a data folder of somebody else', async () => {
    using place = folder()
    mkdirSync(place.file('data'), { mode: uid === undefined ? 0o500 : 0o700 })
    const given = { ...fileInstallation(place.file('data/parley.db')), cwd: '/', ...(uid !== undefined && { uid }) }
    const ended = await parley(['serve'], given)
    expectSentence(ended, /data folder of .*parley\.db cannot be used .*: check its owner, or set PARLEY_DATABASE_URL/)
  })

  test('a file that is no database is left as it is', async () => {
    using place = folder()
    writeFileSync(place.file('parley.db'), 'Dear diary, '.repeat(1000))
    const ended = await parley(['serve'], fileInstallation(place.file('parley.db')))
    expectSentence(ended, /parley\.db is not a Parley database .*: restore a backup, or set PARLEY_DATABASE_URL/)
    expect(readFileSync(place.file('parley.db'), 'utf8')).toMatch(/^Dear diary/)
  })

  test('a database that is damaged', async () => {
    using place = folder()
    const file = place.file('parley.db')
    {
      await using server = await serve(fileInstallation(file))
      await server.end('SIGTERM')
    }
    const bytes = readFileSync(file)
    // The header stays, everything behind it is gone.
    bytes.fill(0xff, 100)
    writeFileSync(file, bytes)
    expectSentence(await parley(['serve'], fileInstallation(file)), /is not a Parley database .*: restore a backup/)
  })

  test('a running server on another port than the one given is found; one that does not say where it is: a sentence', async () => {
    using place = folder()
    const given = fileInstallation(place.file('parley.db'))
    await using server = await serve(given)
    await using gone = await stranger('')
    const { port } = gone
    await gone[Symbol.asyncDispose]()
    expect(readFileSync(place.file('parley.url'), 'utf8')).toBe(`${server.url}\n`)
    expect(await parley(['accounts', 'list', '--port', port], given)).toMatchObject({ code: 0, stderr: '' })
    rmSync(place.file('parley.url'))
    const ended = await parley(['accounts', 'list', '--port', port], given)
    expectSentence(ended, /is in use by another Parley process/)
  })
})

postgresOnly('errors about the database', () => {
  const faults: [string, Partial<URL>][] = [
    ['nobody listens there', { port: '1' }],
    ['the password is wrong', { password: 'wrong-hidden' }],
    ['there is no such database', { pathname: '/nowhere' }],
  ]
  test.each(faults)('%s: a sentence without the password', async (_, fault) => {
    await using database = await newDatabase()
    const url = Object.assign(new URL(database.env.PARLEY_DATABASE_URL), fault)
    const ended = await parley(['serve'], installation(database, { PARLEY_DATABASE_URL: url.href }))
    expectSentence(ended, /PARLEY_DATABASE_URL/)
    expect(ended.stderr).not.toContain(url.password)
  })
})

describe('serve', () => {
  test('the first start prints sid and token, but no sample into a log; later starts print none of it', async () => {
    await using database = await newDatabase()
    const given = installation(database)
    let first = { sid: '', auth_token: '' }
    {
      await using server = await serve(given)
      first = printed(server.stdout())
      expect(server.stdout()).not.toContain('twilio')
      expect(await conversations(server, first)).toBe(0)
      expect(await server.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
    }
    await using again = await serve(given)
    expect(again.stdout()).toBe(`Parley listens on ${again.url}\n`)
    expect(await conversations(again, first)).toBe(0)
  })

  test('what it keeps is for its owner alone', async () => {
    await using database = await newDatabase()
    const folder = join(database.env.PARLEY_DATA_DIR, 'data')
    await using server = await serve(installation(database, { PARLEY_DATA_DIR: folder }))
    expect(mode(folder)).toBe('700')
    expect(mode(join(folder, 'parley.key'))).toBe('600')
    expect(mode(join(folder, 'parley.admin-token'))).toBe('600')
    const operator = readFileSync(join(folder, 'parley.admin-token'), 'utf8').trim()
    expect(server.stdout()).toContain(`operator token  in ${join(folder, 'parley.admin-token')}`)
    expect(server.stdout()).not.toContain(operator)
    const accounts = await fetch(`${server.url}/admin/v1/accounts`, { headers: { authorization: `Bearer ${operator}` } })
    expect(accounts.status).toBe(200)
  })

  test('the first start prints a link that signs in to the console, once, and parley console another one', async () => {
    await using database = await newDatabase()
    const given = installation(database)
    await using server = await serve(given)
    const [, first = ''] = /console {9}(http\S+)/.exec(server.stdout()) ?? []
    const printed = await parley(['console', '--port', new URL(server.url).port], given)
    expect(printed).toMatchObject({ code: 0, stderr: '' })
    for (const link of [first, printed.stdout.trim()]) {
      expect(link).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/console#code=[\w-]{32}$/)
      const enter = () =>
        fetch(`${server.url}/admin/v1/session`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ code: link.split('=')[1] }),
        })
      expect((await enter()).status).toBe(201)
      expect((await enter()).status).toBe(401)
    }
    const off = await parley(['console'], { ...given, env: { ...given.env, PARLEY_CONSOLE: 'false' } })
    expect(off).toMatchObject({ code: 1, stderr: 'parley: PARLEY_CONSOLE is false: there is no console\n' })
  })

  test('given credentials are used, and a new token given later replaces the old one', async () => {
    await using database = await newDatabase()
    const sid = `AC${'a'.repeat(32)}`
    const given = { PARLEY_ACCOUNT_SID: sid, PARLEY_AUTH_TOKEN: 'theFirstToken' }
    {
      await using server = await serve(installation(database, given))
      expect(await conversations(server, { sid, auth_token: 'theFirstToken' })).toBe(0)
      expect(server.stdout()).toContain('auth token      as given by PARLEY_AUTH_TOKEN')
      expect(server.stdout()).not.toContain('theFirstToken')
      await server.end('SIGTERM')
    }
    await using server = await serve(installation(database, { ...given, PARLEY_AUTH_TOKEN: 'theSecondToken' }))
    expect(await conversations(server, { sid, auth_token: 'theSecondToken' })).toBe(0)
    await expect(conversations(server, { sid, auth_token: 'theFirstToken' })).rejects.toMatchObject({ code: 20003 })
    expect(server.stdout()).not.toContain('theSecondToken')
  })

  test('a flag wins over its variable', async () => {
    await using database = await newDatabase()
    const { PARLEY_DATABASE_URL, PARLEY_DATA_DIR } = database.env
    const wrong = { env: { ...quiet, PARLEY_DATABASE_URL: 'nonsense', PARLEY_DATA_DIR: 'nonsense', PORT: 'nonsense' } }
    const flags = ['--port', '0', '--database-url', PARLEY_DATABASE_URL, '--data-dir', PARLEY_DATA_DIR]
    await using server = await serve(wrong, flags)
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    await using look = inspect(database.config)
    expect(await look.rows('accounts')).toHaveLength(1)
    expect(existsSync(join(PARLEY_DATA_DIR, 'parley.key'))).toBe(true)
  })
})

sqliteOnly('serve on a file', () => {
  test('with a database in memory it leaves no file and shows the operator token', async () => {
    using place = folder()
    const given = { cwd: place.path, env: { PARLEY_DATABASE_URL: 'sqlite::memory:', PARLEY_LOG_LEVEL: 'silent' } }
    await using server = await serve(given)
    const operator = /operator token {2}([0-9a-f]{64})$/m.exec(server.stdout())?.[1]
    const accounts = await fetch(`${server.url}/admin/v1/accounts`, { headers: { authorization: `Bearer ${operator}` } })
    expect(accounts.status).toBe(200)
    expect(readdirSync(place.path)).toEqual([])
    expect((await server.end('SIGINT')).code).toBe(0)
  })

  test('what is kept lies beside the file unless a folder is given, and is for its owner alone', async () => {
    using place = folder()
    await using _ = await serve(fileInstallation(place.file('data/parley.db')))
    expect(mode(place.file('data'))).toBe('700')
    for (const name of ['parley.key', 'parley.admin-token']) expect(mode(place.file(`data/${name}`))).toBe('600')
  })
})

async function statuses(url: string, credentials: readonly [string, string][]): Promise<number[]> {
  const asked = credentials.map(([username, password]) =>
    fetch(`${url}/v1/Conversations`, { headers: { authorization: `Basic ${btoa(`${username}:${password}`)}` } }),
  )
  return (await Promise.all(asked)).map(({ status }) => status)
}

describe.each(['running', 'stopped'] as const)('with the server %s', (state) => {
  /** The commands of an installation, and which answers pairs of credentials get afterwards. */
  async function world(database: TestDatabase) {
    const given = installation(database)
    const server = await serve(given)
    const first = printed(server.stdout())
    const port = new URL(server.url).port
    if (state === 'stopped') await server.end('SIGTERM')
    const command = (...args: string[]) => parley([...args, ...(state === 'running' ? ['--port', port] : [])], given)
    const entrance = async (...credentials: [string, string][]) => {
      if (state === 'running') return statuses(server.url, credentials)
      const config = readConfig({ ...database.env, PORT: '0' })
      const passing = await start(config, { log: pino({ level: 'silent' }) })
      const found = await statuses(passing.url, credentials)
      await passing.stop()
      return found
    }
    return { first, command, entrance, [Symbol.asyncDispose]: async () => void (await server.end('SIGKILL')) }
  }

  test('accounts: list, create, rotate, suspend, resume, delete', async () => {
    await using database = await newDatabase()
    await using opened = await world(database)
    const { first, command, entrance } = opened
    const created = await command('accounts', 'create', 'Second')
    expect(created).toMatchObject({ code: 0, stderr: '' })
    const [, sid = '', auth_token = ''] =
      /^account SID {2}(AC[0-9a-f]{32})\nauth token {3}([0-9a-f]{32})\n$/.exec(created.stdout) ?? []
    expect(await entrance([sid, auth_token])).toEqual([200])

    const list = await command('accounts', 'list')
    expect(list.stdout.split('\n')).toEqual([
      expect.stringMatching(new RegExp(`^${first.sid}  active  \\S+  First account$`)),
      expect.stringMatching(new RegExp(`^${sid}  active  \\S+  Second$`)),
      '',
    ])
    expect(list.stdout).not.toContain(auth_token)

    const rotated = /^auth token {3}([0-9a-f]{32})\n$/.exec((await command('accounts', 'rotate', sid)).stdout)?.[1] ?? ''
    expect(await entrance([sid, auth_token], [sid, rotated])).toEqual([401, 200])
    expect((await command('accounts', 'suspend', sid)).stdout).toBe(`${sid} is suspended\n`)
    expect(await entrance([sid, rotated])).toEqual([403])
    expect((await command('accounts', 'resume', sid)).stdout).toBe(`${sid} is active\n`)
    expect(await entrance([sid, rotated])).toEqual([200])
    expect((await command('accounts', 'delete', sid)).stdout).toBe(`${sid} is deleted\n`)
    expect(await entrance([sid, rotated], [first.sid, first.auth_token])).toEqual([401, 200])
  })

  test('keys: create, list, rotate, delete', async () => {
    await using database = await newDatabase()
    await using opened = await world(database)
    const { first, command, entrance } = opened
    const created = await command('keys', 'create', first.sid, 'CI')
    expect(created).toMatchObject({ code: 0, stderr: '' })
    const [, sid = '', secret = ''] = /^API key SID {2}(SK[0-9a-f]{32})\nsecret {7}([0-9a-f]{32})\n$/.exec(created.stdout) ?? []
    expect(await entrance([sid, secret])).toEqual([200])
    const list = await command('keys', 'list', first.sid)
    expect(list.stdout).toMatch(new RegExp(`^${sid}  \\S+  standard  CI\n$`))
    expect(list.stdout).not.toContain(secret)
    const rotated = /^secret {7}([0-9a-f]{32})\n$/.exec((await command('keys', 'rotate', first.sid, sid)).stdout)?.[1] ?? ''
    expect(await entrance([sid, secret], [sid, rotated])).toEqual([401, 200])
    expect((await command('keys', 'delete', first.sid, sid)).stdout).toBe(`${sid} is deleted\n`)
    expect(await entrance([sid, rotated])).toEqual([401])
    expect((await command('keys', 'list', first.sid)).stdout).toBe('')
  })

  test('keys: a policy is given as a list or as JSON, and what it can allow is listed', async () => {
    await using database = await newDatabase()
    await using opened = await world(database)
    const { first, command } = opened
    const { stdout } = await command('keys', 'permissions')
    expect(stdout).toContain('/twilio/conversations/roles/list  ListRole, ListServiceRole\n')
    const [one, two] = ['/twilio/conversations/roles/list', '/twilio/conversations/users/*']
    const policies = [`${one},${two}`, `${one} ${two}\n`, JSON.stringify({ allow: [one, two] })]
    for (const policy of policies) {
      expect(await command('keys', 'create', first.sid, 'reports', '--policy', policy)).toMatchObject({ code: 0, stderr: '' })
    }
    const list = await command('keys', 'list', first.sid)
    expect(list.stdout.match(/ {2}restricted {2}reports\n/g)).toHaveLength(3)
    expectSentence(
      await command('keys', 'create', first.sid, 'CI', '--policy', '/twilio/conversations/rolls/list'),
      /^parley: .*assertion '\/twilio\/conversations\/rolls\/list' is invalid/m,
    )
    expectSentence(await command('keys', 'create', first.sid, 'CI', '--policy', '{"allow"'), /^parley: the policy is no JSON/m)
    expectSentence(await command('keys', 'create', first.sid, 'CI', '--policy', ''), /at least one permission/m)
    expect((await command('keys', 'list', first.sid)).stdout.split('\n')).toHaveLength(4)
  })

  test('operators: create, list, rotate, end a token, delete', async () => {
    await using database = await newDatabase()
    await using opened = await world(database)
    const { command } = opened
    const created = await command('operators', 'create', 'Ann', '--role', 'viewer', '--text')
    expect(created).toMatchObject({ code: 0, stderr: '' })
    const [, sid = '', token = '', id = ''] =
      /^operator SID {2}(OP[0-9a-f]{32})\ntoken {9}(plo_([0-9a-f]{24})_[\w-]{43})\n$/.exec(created.stdout) ?? []
    const list = await command('operators', 'list')
    expect(list.stdout).toBe(`${sid}  viewer  all accounts  never used  Ann\n`)
    expect((await command('operators', 'rotate', 'Ann')).stdout).toMatch(/^token {9}plo_/)
    expectSentence(await command('operators', 'rotate', sid), /^parley: the operator has two tokens/m)
    expect((await command('operators', 'end-token', 'Ann', id)).stdout).toBe(`${id} is ended\n`)
    expect((await command('operators', 'rotate', sid, '--end-old')).stdout).not.toContain(token)
    expectSentence(await command('operators', 'create', 'Bob', '--role', 'boss'), /^parley: role must be one of/m)
    expectSentence(await command('operators', 'create', 'Bob', '--role', 'viewer', '--expires', 'soon'), /^parley: date_expires/m)
    expect((await command('operators', 'delete', 'Ann')).stdout).toBe(`${sid} is deleted\n`)
    expect((await command('operators', 'list')).stdout).toBe('')
  })

  test('what does not exist is an error', async () => {
    await using database = await newDatabase()
    await using opened = await world(database)
    const { command } = opened
    const nobody = `AC${'0'.repeat(32)}`
    expectSentence(await command('accounts', 'rotate', nobody), new RegExp(`^parley: ${nobody} was not found$`, 'm'))
    expectSentence(await command('keys', 'list', nobody), new RegExp(`^parley: ${nobody} was not found$`, 'm'))
    expectSentence(await command('keys', 'delete', nobody, 'SK0'), new RegExp(`^parley: SK0 of ${nobody} was not found$`, 'm'))
  })
})

describe('commands without a server', () => {
  test('the token of the first account is shown by whichever command makes it', async () => {
    await using database = await newDatabase()
    const given = installation(database)
    const { stdout, stderr } = await parley(['accounts', 'create', 'Second'], given)
    await using server = await serve(given)
    const said = stdout + stderr + server.stdout()
    expect(said).toMatch(token)
    expect(await conversations(server, printed(said))).toBe(0)
  })

  test.each(['<h1>It works!</h1>', '{}', 'null'])(
    "somebody else's server on the port, which says %s, is not taken for this one",
    async (body) => {
      await using database = await newDatabase()
      const given = installation(database)
      {
        await using server = await serve(given)
        await server.end('SIGTERM')
      }
      await using other = await stranger(body)
      const { code, stdout, stderr } = await parley(['accounts', 'list', '--port', other.port], given)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toMatch(/^AC\w{32} {2}active .*First account\n$/)
    },
  )
})
