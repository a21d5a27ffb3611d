import { execFile } from 'node:child_process'
import { existsSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newDatabase } from '../support/databases.ts'
import { installPackage, otherNode, type Project } from '../support/packed.ts'
import { parley, serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

/*
 * The package as it is published, installed in an empty project. Other tests run the sources: here is what could be different in
 * the bundle, such as the paths of its own files and what is loaded when it is first needed.
 */

const run = promisify(execFile)
const auth_token = '0123456789abcdef0123456789abcdef'
const adminToken = 'operator-token-of-the-tests'

let project: Project
let program: string
let installed: readonly string[]

beforeAll(async () => {
  project = await installPackage()
  installed = readdirSync(join(project.path, 'node_modules'))
  // The kit's client is that of the official package, which is the host's own.
  const twilio = fileURLToPath(new URL('../../node_modules/twilio', import.meta.url))
  symlinkSync(twilio, join(project.path, 'node_modules/twilio'))
  program = join(project.path, 'node_modules/.bin/parley')
})
afterAll(() => project[Symbol.asyncDispose]())

test('the host gets SQLite and nothing else, no Node least of all', () => {
  expect(installed.filter((name) => !name.startsWith('.')).toSorted()).toEqual([
    'better-sqlite3',
    'node-addon-api',
    'parley-server',
  ])
  expect(readdirSync(join(project.path, 'node_modules/.bin')).filter((name) => name !== 'parley')).toEqual([])
})

test('the package has what is needed, and no sources', () => {
  for (const name of [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'bin/parley.cjs',
    'dist/THIRD-PARTY-LICENSES',
    'dist/console/index.html',
    'docs/operations.md',
  ]) {
    expect(project.files).toContain(`package/${name}`)
  }
  expect(project.files.filter((name) => /^package\/(src|test|tools|node_modules)\//.test(name))).toEqual([])
})

describe.each(['node-22', 'node-24', 'this Node'])('on %s', (name) => {
  let node: string
  beforeAll(async () => {
    node = name === 'this Node' ? process.execPath : await otherNode(name)
  })

  test('it serves, sends webhooks and keeps what it has stored', async () => {
    await using place = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const env = { ...place.env, PARLEY_AUTH_TOKEN: auth_token, PARLEY_ADMIN_TOKEN: adminToken, PARLEY_LOG_LEVEL: 'warn' }
    const settings = { program: [node, program], env, cwd: project.path }
    let sid: string
    {
      await using server = await serve(settings)
      const account = /account SID {5}(AC[0-9a-f]{32})/.exec(server.stdout())?.[1] ?? ''
      const { v1 } = sdkFor(server, account, auth_token).conversations
      await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
      const hello = { friendlyName: 'Hello', 'timers.inactive': 'PT1H', xTwilioWebhookEnabled: 'true' } as const
      sid = (await v1.conversations.create(hello)).sid
      expect((await catcher.next()).params).toMatchObject({ EventType: 'onConversationAdded', ConversationSid: sid })
      expect(await (await fetch(`${server.url}/metrics`)).text()).toContain('parley_http_requests_total{method="POST"')
      const page = await (await fetch(`${server.url}/console`)).text()
      const [script = ''] = /\/console\/assets\/[\w-]+\.js/.exec(page) ?? []
      expect((await fetch(server.url + script)).headers.get('content-encoding')).toBe('gzip')
      expect(await server.end('SIGTERM')).toMatchObject({ code: 0, stderr: '' })
    }
    expect(await parley(['migrate', '--check'], settings)).toMatchObject({ code: 0, stderr: '' })
    // On the database itself, by the operator's API and its schemas.
    expect(await parley(['accounts', 'create', 'Second'], settings)).toMatchObject({ code: 0, stderr: '' })
    await using again = await serve(settings)
    const listed = await parley(['accounts', 'list', '--port', new URL(again.url).port], settings)
    expect(listed).toMatchObject({ code: 0, stderr: '' })
    const account = /AC[0-9a-f]{32}/.exec(listed.stdout)?.[0] ?? ''
    expect(await sdkFor(again, account, auth_token).conversations.v1.conversations(sid).fetch()).toMatchObject({ sid })
  })

  const start = "Parley.start({ PORT: '0', PARLEY_DATABASE_URL: 'sqlite::memory:', PARLEY_LOG_LEVEL: 'silent' })"
  const use = `${start}.then(async (parley) => { console.log((await fetch(parley.url + '/healthz')).status); await parley.stop() })`
  const useKit = `startParley().then(async (parley) => {
    const { sid } = await parley.client().conversations.v1.conversations.create({ 'timers.inactive': 'PT10M' })
    await parley.clock.advance('PT10M')
    await parley.webhooks.next({ EventType: 'onConversationStateUpdated', ConversationSid: sid })
    console.log(200)
    await parley.stop()
  })`
  // As test runners load it that have modules of their own.
  const withoutImports = `
    const { createRequire, Module } = require('node:module')
    const { compileFunction } = require('node:vm')
    const names = ['exports', 'require', 'module']
    const { _compile } = Module.prototype
    Module.prototype._compile = function (text, filename, ...more) {
      if (!filename.includes('parley-server')) return _compile.call(this, text, filename, ...more)
      const run = compileFunction(text, [...names, '__filename', '__dirname'], { filename })
      run.call(this.exports, this.exports, createRequire(filename), this, filename, require('node:path').dirname(filename))
    }`
  test.each([
    ['imported', 'import.mjs', `import { Parley } from 'parley-server'\n${use}`],
    ['required', 'require.cjs', `const { Parley } = require('parley-server')\n${use}`],
    ['imported as a test kit', 'kit.mjs', `import { startParley } from 'parley-server/testing'\n${useKit}`],
    ['required as a test kit', 'kit.cjs', `const { startParley } = require('parley-server/testing')\n${useKit}`],
    [
      'required where nothing can be imported',
      'without-imports.cjs',
      `${withoutImports}\nconst { startParley } = require('parley-server/testing')\n${useKit}`,
    ],
  ])('it is %s by a program', async (_how, file, text) => {
    const { stdout, stderr } = await run(node, [project.write(file, text)], { cwd: project.path })
    expect({ stdout, stderr }).toEqual({ stdout: '200\n', stderr: '' })
  })
})

test('a Node that is too old is told so in three lines', async () => {
  const ended = await parley(['serve'], { program: [await otherNode('node-too-old'), program], cwd: project.path })
  expect(ended).toMatchObject({ code: 1, stdout: '' })
  expect(ended.stderr).toMatch(/^parley: this is Node 16\.\S+, and Parley needs Node [\d.]+ or later\.\n.+\n.+\n$/)
  expect(existsSync(join(project.path, 'data'))).toBe(false)
})

test.each(['nodenext', 'node20'])('its types are complete, by the rules of module: %s', async (module) => {
  const text = `
    import { Parley, type ParleySettings } from 'parley-server'
    import { parleyClient } from 'parley-server/client'
    import { startParley } from 'parley-server/testing'
    export const client = parleyClient({ accountSid: 'AC', authToken: '' })
    const settings: ParleySettings = { PORT: '0' }
    export async function url(): Promise<string> {
      await using parley: Parley = await Parley.start(settings)
      // @ts-expect-error no such member
      parley.nothing
      return parley.url
    }
    export async function sid(): Promise<string> {
      await using parley = await startParley()
      const { sid } = await parley.client().conversations.v1.conversations.create()
      // @ts-expect-error no such member
      parley.nothing
      return sid
    }`
  const files = [project.write(`${module}.mts`, text), project.write(`${module}.cts`, text)]
  const tsc = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url))
  const types = ['--typeRoots', fileURLToPath(new URL('../../node_modules/@types', import.meta.url)), '--types', 'node']
  const args = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,esnext.disposable', '--module', module, ...types]
  const said = await run(tsc, [...args, ...files], { cwd: project.path }).catch((error: { stdout: string }) => error)
  // The official package's own types lack those of one of its libraries.
  const errors = said.stdout.split('\n').filter((line) => line.includes('error TS') && !line.includes('node_modules/twilio/'))
  expect(errors).toEqual([])
})
