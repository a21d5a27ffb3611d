import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Ended, folder, parley, type Settings, serve, spawnParley } from '../support/process.ts'

const program = new URL('../support/unchanged-program.ts', import.meta.url).pathname
const account = { PARLEY_ACCOUNT_SID: `AC${'1'.repeat(32)}`, PARLEY_AUTH_TOKEN: 'tokenOfTheTests1' }

/** Runs a program written for Node with `parley exec`. */
function exec(args: readonly string[], script: string, settings: Settings = {}): Promise<Ended> {
  return parley(['exec', ...args, '--', process.execPath, '--input-type=module', '-e', script], settings)
}

/** A database file in a folder that is gone at the end of the test. */
function installation(more: Record<string, string> = {}) {
  const place = folder()
  onTestFinished(() => place[Symbol.dispose]())
  return { place, env: { PARLEY_DATABASE_URL: `sqlite:${place.file('parley.db')}`, ...account, ...more } }
}

describe('an unchanged program', () => {
  test.each([
    ['conversations.twilio.com', {}],
    ['conversations.dublin.ie1.twilio.com', { TWILIO_EDGE: 'dublin', TWILIO_REGION: 'ie1' }],
  ])('with the official SDK finds Parley at %s', async (host, env) => {
    const { code, stdout, stderr } = await parley(['exec', '--memory', '--', process.execPath, program], {
      env: { ...account, ...env },
    })
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(/^parley: .* nothing through to api\.[\w.]*twilio\.com: .*\n$/),
    })
    expect(JSON.parse(stdout)).toEqual({
      accountSid: account.PARLEY_ACCOUNT_SID,
      url: expect.stringMatching(`^https://${host}/v1/Conversations/CH`),
      same: true,
      names: true,
      count: 7,
      second: 2,
      nextPageUrl: expect.stringMatching(`^https://${host}/v1/Conversations\\?.*PageSize=2`),
      missing: { status: 404, code: 20404 },
      elsewhere: expect.stringContaining('403'),
      hook: { event: 'onConversationAdded', name: 'Ördér 50% + 1 & ; 😀', valid: true },
    })
  })

  test.each(['@twilio/conversations', 'twilio-conversations-2.4'])('with the client SDK finds Parley: %s', async (sdk) => {
    const script = `
      import { Client } from ${JSON.stringify(import.meta.resolve(sdk))}
      const { PARLEY_URL, PARLEY_ADMIN_TOKEN } = process.env
      const headers = { authorization: 'Bearer ' + PARLEY_ADMIN_TOKEN, 'content-type': 'application/json' }
      const made = await fetch(PARLEY_URL + '/admin/v1/tokens', { method: 'POST', headers, body: '{"identity":"ann"}' })
      const client = new Client((await made.json()).token)
      client.on('connectionError', ({ message }) => console.log(message))
      await new Promise((resolve) => client.on('initialized', resolve))
      const conversation = await client.createConversation()
      await conversation.join()
      await conversation.sendMessage('hello')
      console.log((await conversation.getMessages()).items.map(({ body }) => body))
      process.exit()
    `
    expect(await exec(['--memory', '--test-mode'], script)).toMatchObject({ code: 0, stdout: "[ 'hello' ]\n", stderr: '' })
  })

  test('has standard input and output for itself, and its own exit code', async () => {
    const ended = await exec(['--memory'], 'console.log("out"); console.error("err"); process.exitCode = 42')
    expect(ended).toEqual({ code: 42, signal: null, stdout: 'out\n', stderr: 'err\n' })
  })

  test('that a signal ends has the exit code that a shell would give it', async () => {
    expect((await exec(['--memory'], 'process.kill(process.pid, "SIGKILL")')).code).toBe(137)
  })

  test.each([
    ['/nowhere/at-all', 127, 'parley: /nowhere/at-all was not found\n'],
    ['/etc/passwd', 126, 'parley: /etc/passwd may not be run\n'],
  ])('that cannot be run: %s is %i', async (name, code, stderr) =>
    expect(await parley(['exec', '--memory', '--', name])).toEqual({ code, signal: null, stdout: '', stderr }),
  )

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('is sent %s, and ends as it likes', async (signal) => {
    const script = `process.on('${signal}', () => process.exit(7)); console.log('ready'); setInterval(() => {}, 1000)`
    const child = spawnParley(['exec', '--memory', '--', process.execPath, '-e', script])
    await child.said(/ready/)
    child.signal(signal)
    expect((await child.ended).code).toBe(7)
  })

  test('may have options without --', async () => {
    const ended = await parley(['exec', '--memory', process.execPath, '--port', '--version'])
    expect(ended.code).toBe(9)
    expect((await parley(['exec', '--memory', process.execPath, '--version'])).stdout).toBe(`${process.version}\n`)
  })

  test('must be named', async () => {
    const { code, stderr } = await parley(['exec', '--memory'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/missing required argument 'command'/)
  })

  test('leaves nothing behind with --memory', async () => {
    using place = folder()
    mkdirSync(place.file('work'))
    const script = 'import { existsSync } from "node:fs"; console.log(process.env.NODE_EXTRA_CA_CERTS)'
    const { stdout } = await exec(['--memory'], script, { cwd: place.file('work'), env: { TMPDIR: place.path } })
    expect(stdout).toMatch(new RegExp(`^${place.path}/`))
    expect(readdirSync(place.path)).toEqual(['work'])
    expect(readdirSync(place.file('work'))).toEqual([])
  })
})

describe('where it runs', () => {
  const where = 'console.log(process.cwd())'

  test('is where npm was called, when npm runs the script of the clone', async () => {
    using place = folder()
    const npm = { npm_package_name: 'parley-server', INIT_CWD: place.path }
    expect((await exec(['--memory'], where, { env: npm })).stdout).toBe(`${place.path}\n`)
  })

  test('is where Parley was called, when npm runs a script of another package', async () => {
    using place = folder()
    const npm = { npm_package_name: 'a-shop', INIT_CWD: '/' }
    expect((await exec(['--memory'], where, { env: npm, cwd: place.path })).stdout).toBe(`${place.path}\n`)
  })
})

describe('--test-mode', () => {
  const reset = `
    const headers = { authorization: 'Bearer ' + process.env.PARLEY_ADMIN_TOKEN }
    const { status } = await fetch(process.env.PARLEY_URL + '/admin/v1/reset', { method: 'POST', headers })
    console.log(status)`

  test('lets the program reset the server, and so on', async () => {
    const ended = await exec(['--memory', '--test-mode'], reset)
    expect(ended).toEqual({ code: 0, signal: null, stdout: expect.stringMatching(/^20[04]\n$/), stderr: '' })
  })

  test('is needed for that: otherwise a program has no operator token', async () => {
    const { stdout } = await exec(['--memory'], 'console.log(process.env.PARLEY_URL, process.env.PARLEY_ADMIN_TOKEN)')
    expect(stdout).toBe('undefined undefined\n')
  })

  test('is refused where a server runs without it', async () => {
    const { env } = installation({ PARLEY_LOG_LEVEL: 'silent' })
    await using server = await serve({ env })
    expect(await exec(['--test-mode'], reset, { env })).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'parley: the server that runs on this database is not in test mode: add --memory, or leave out --test-mode\n',
    })
    await server.end('SIGTERM')
  })
})

describe("Node's own fetch", () => {
  test('finds Parley, and no other host of Twilio', async () => {
    const script = `
      const { TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN } = process.env
      const authorization = 'Basic ' + Buffer.from(TWILIO_ACCOUNT_SID + ':' + TWILIO_AUTH_TOKEN).toString('base64')
      const answer = await fetch('https://conversations.twilio.com/v1/Configuration', { headers: { authorization } })
      console.log((await answer.json()).account_sid)
      await fetch('https://api.twilio.com/').catch(() => console.log('refused'))`
    const ended = await exec(['--memory'], script, { env: account })
    expect(ended).toMatchObject({ code: 0, stdout: `${account.PARLEY_ACCOUNT_SID}\nrefused\n` })
    expect(ended.stderr).toMatch(/^parley: .* nothing through to api\.twilio\.com: /)
  })
})

describe('its variables', () => {
  const printed = 'console.log(JSON.stringify(process.env))'

  test('lead to the proxy in every language, and replace what would lead around it', async () => {
    const { stdout } = await exec(['--memory'], printed, {
      env: {
        ...account,
        https_proxy: 'http://127.0.0.1:1',
        ALL_PROXY: 'http://127.0.0.1:1',
        NO_PROXY: '*',
        CURL_CA_BUNDLE: '/x',
        SSL_CERT_DIR: '/y',
      },
    })
    const env = JSON.parse(stdout)
    expect(env.HTTP_PROXY).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    for (const name of ['http_proxy', 'HTTPS_PROXY', 'https_proxy']) expect(env[name]).toBe(env.HTTP_PROXY)
    for (const name of ['ALL_PROXY', 'all_proxy', 'SSL_CERT_DIR', 'CURL_CA_BUNDLE']) expect(env).not.toHaveProperty(name)
    expect(env).toMatchObject({
      TWILIO_ACCOUNT_SID: account.PARLEY_ACCOUNT_SID,
      TWILIO_AUTH_TOKEN: account.PARLEY_AUTH_TOKEN,
      NO_PROXY: 'localhost,127.0.0.1,::1',
      no_proxy: 'localhost,127.0.0.1,::1',
      REQUESTS_CA_BUNDLE: env.SSL_CERT_FILE,
      PHP_INI_SCAN_DIR: expect.stringMatching(/^:\/.*\/php$/),
      JAVA_TOOL_OPTIONS: expect.stringMatching(
        /^-Dhttps\.proxyHost=127\.0\.0\.1 -Dhttps\.proxyPort=\d+ -Djavax\.net\.ssl\.trustStore=\/.*java\.p12 -D/,
      ),
    })
  })

  test('name files that are made once, beside the database, and keep what the program trusted before', async () => {
    const { place, env } = installation({ JAVA_TOOL_OPTIONS: '-Xmx1g', PHP_INI_SCAN_DIR: '/etc/php.d' })
    const { Authority } = await import('../../src/gateway/authority.ts')
    const theirs = await Authority.open(null)
    writeFileSync(
      place.file('theirs.pem'),
      `# Theirs\n${theirs.certificate}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
    )
    const settings = { env: { ...env, SSL_CERT_FILE: place.file('theirs.pem'), NODE_EXTRA_CA_CERTS: place.file('theirs.pem') } }
    const first = JSON.parse((await exec([], printed, settings)).stdout)
    const made = statSync(first.SSL_CERT_FILE)
    const second = JSON.parse((await exec([], printed, settings)).stdout)
    expect(second.SSL_CERT_FILE).toBe(first.SSL_CERT_FILE)
    expect(statSync(second.SSL_CERT_FILE)).toMatchObject({ ino: made.ino, mtimeMs: made.mtimeMs })
    expect(first.SSL_CERT_FILE).toMatch(new RegExp(`^${place.path}/parley\\.gateway/trust-`))
    expect(statSync(place.file('parley.gateway/authority.pem')).mode & 0o777).toBe(0o600)
    const count = (file: string) => readFileSync(file, 'utf8').split('BEGIN CERTIFICATE').length - 1
    const trusts = (file: string) => readFileSync(file, 'utf8').includes(theirs.certificate)
    expect([first.SSL_CERT_FILE, first.NODE_EXTRA_CA_CERTS].map(trusts)).toEqual([true, true])
    expect(count(first.NODE_EXTRA_CA_CERTS)).toBe(2)
    expect(first.JAVA_TOOL_OPTIONS).toMatch(/^-Xmx1g -Dhttps/)
    expect(first.PHP_INI_SCAN_DIR).toMatch(/^\/etc\/php\.d:\//)
    expect(readFileSync(`${first.PHP_INI_SCAN_DIR.split(':')[1]}/parley.ini`, 'utf8')).toContain(
      `curl.cainfo="${first.SSL_CERT_FILE}"`,
    )
  })
})

describe('the server', () => {
  const create =
    'import twilio from "twilio"; const c = await twilio().conversations.v1.conversations.create({}); console.log(c.accountSid, c.sid)'
  const list = 'import twilio from "twilio"; console.log((await twilio().conversations.v1.conversations.list()).length)'
  const root = new URL('../..', import.meta.url).pathname

  test('is the one that runs on this database, on whatever port it is', async () => {
    const { place, env } = installation({ PARLEY_LOG_LEVEL: 'silent' })
    await using server = await serve({ env })
    expect((await exec([], create, { env, cwd: root })).stdout).toMatch(/^AC1{32} CH/)
    expect((await exec([], list, { env, cwd: root })).stdout).toBe('1\n')
    expect(readFileSync(place.file('parley.url'), 'utf8')).toBe(`${server.url}\n`)
    await server.end('SIGTERM')
    expect(existsSync(place.file('parley.url'))).toBe(false)
    expect((await exec([], list, { env, cwd: root })).stdout).toBe('1\n')
  })

  test('of another program of the same database is shared', async () => {
    const { env } = installation()
    const outer = spawnParley(['exec', '--', process.execPath, '-e', 'console.log("ready"); process.stdin.resume()'], {
      env,
      stdin: true,
    })
    await outer.said(/ready/)
    expect((await exec([], create, { env, cwd: root })).stdout).toMatch(/^AC1{32} CH/)
    outer.endInput()
    expect((await outer.ended).code).toBe(0)
  })

  test('that left its address behind when it was killed does not mislead anybody', async () => {
    const { place, env } = installation()
    for (const url of ['http://127.0.0.1:1', 'http://192.0.2.1:80', 'nonsense', '']) {
      writeFileSync(place.file('parley.url'), `${url}\n`)
      expect((await exec([], create, { env, cwd: root })).stdout).toMatch(/^AC1{32} CH/)
    }
  })

  test('shows the first account of a database that is kept, and gives a program any account', async () => {
    const { place } = installation()
    const env = { PARLEY_DATABASE_URL: `sqlite:${place.file('parley.db')}` }
    const first = await exec([], create, { env, cwd: root })
    expect(first.stderr).toMatch(/^First start: the first account has been created.*\n {2}account SID {5}AC/)
    const other = /AC[0-9a-f]{32}/.exec((await parley(['accounts', 'create', 'Other'], { env })).stdout)?.[0] ?? ''
    const second = await exec(['--account', other], create, { env, cwd: root })
    expect(second).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(`^${other} CH`) })
    expect(await exec(['--account', 'ACx'], create, { env })).toMatchObject({
      code: 1,
      stderr: 'parley: the account ACx was not found\n',
    })
  })
})

describe('--seed', () => {
  const sid = `CH${'2'.repeat(32)}`
  const seed = {
    accounts: [{ sid: `AC${'2'.repeat(32)}`, auth_token: 'tokenOfTheSeed1', conversations: [{ sid, friendly_name: 'Seeded' }] }],
  }
  const root = new URL('../..', import.meta.url).pathname
  const fetchSeeded = `import twilio from "twilio"; console.log((await twilio().conversations.v1.conversations("${sid}").fetch()).friendlyName)`

  test("is what the server of the program starts with, and its first account is the program's", async () => {
    const { place } = installation()
    writeFileSync(place.file('seed.json'), JSON.stringify(seed))
    const ended = await exec(['--memory', '--seed', place.file('seed.json')], fetchSeeded, { cwd: root })
    expect(ended).toEqual({ code: 0, signal: null, stdout: 'Seeded\n', stderr: '' })
  })

  test('is refused where a server runs already', async () => {
    const { place, env } = installation({ PARLEY_LOG_LEVEL: 'silent' })
    writeFileSync(place.file('seed.json'), JSON.stringify(seed))
    await using server = await serve({ env })
    const ended = await exec(['--seed', place.file('seed.json')], 'console.log("ran")', { env })
    expect(ended).toEqual({
      code: 1,
      signal: null,
      stdout: '',
      stderr: expect.stringMatching(/^parley: a server runs .* add --memory/),
    })
    await server.end('SIGTERM')
  })
})

describe('parley env', () => {
  const show = '[process.env.HTTPS_PROXY, process.env.TWILIO_ACCOUNT_SID, process.env.SSL_CERT_DIR ?? "unset"].join(" ")'

  test('prints what a shell makes of it, for the running server', async () => {
    const { env } = installation({ PARLEY_LOG_LEVEL: 'silent' })
    await using server = await serve({ env })
    const { stdout, code } = await parley(['env'], { env })
    expect(code).toBe(0)
    const { execFileSync } = await import('node:child_process')
    const script = `SSL_CERT_DIR=/x; export SSL_CERT_DIR\n${stdout}\nexec "$0" -p '${show}'`
    const seen = execFileSync('/bin/sh', ['-c', script, process.execPath], { encoding: 'utf8' })
    expect(seen).toMatch(/^http:\/\/127\.0\.0\.1:\d+ AC1{32} unset\n$/)
    const again = await parley(['env', '--format', 'dotenv'], { env })
    expect(again.stdout).toContain(`HTTPS_PROXY=${seen.split(' ')[0]}\n`)
    expect(again.stdout).toMatch(/^SSL_CERT_DIR=$/m)
    expect((await parley(['env', '--format', 'fish'], { env })).stdout).toMatch(/^set -gx TWILIO_ACCOUNT_SID 'AC1{32}'$/m)
    await server.end('SIGTERM')
  })

  test('keeps its ports where they are set', async () => {
    const { env } = installation({ PARLEY_LOG_LEVEL: 'silent' })
    const { createServer } = await import('node:net')
    const free = createServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    const { port } = free.address() as { port: number }
    await once(free.close(), 'close')
    await using server = await serve({ env: { ...env, PARLEY_GATEWAY_PORT: String(port) } })
    expect((await parley(['env'], { env })).stdout).toContain(`export HTTPS_PROXY='http://127.0.0.1:${port}'\n`)
    await server.end('SIGTERM')
  })

  test('says what to do when no server runs, or when the format is none', async () => {
    const { env } = installation()
    expect(await parley(['env'], { env: { ...env, PORT: '1' } })).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^parley: this command needs the running server of sqlite:.*, but .*: start it, or /),
    })
    expect((await parley(['env', '--format', 'cmd'], { env })).stderr).toMatch(/Allowed choices are sh, fish, dotenv/)
  })
})
