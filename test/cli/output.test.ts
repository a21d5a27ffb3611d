import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isJsonWanted } from '../../src/cli/output.ts'
import { type Ended, folder, parley, type Settings, serve } from '../support/process.ts'
import { stranger } from '../support/stranger.ts'

interface Line {
  readonly level: number
  readonly time: number
  readonly version: string
  readonly msg: string
  readonly [fact: string]: unknown
}

/** Every line that the process has printed, on either output. Throws when one is not JSON. */
function linesOf({ stdout, stderr }: Pick<Ended, 'stdout' | 'stderr'>): Line[] {
  return `${stdout}${stderr}`
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

const json = { PARLEY_LOG_FORMAT: '' }

test('start, run and stop: every line is JSON, with level, time and version', async () => {
  using place = folder()
  const settings: Settings = {
    env: { ...json, PARLEY_DATABASE_URL: `sqlite:${place.file('parley.db')}`, PARLEY_COLOUR: 'red' },
  }
  await using first = await serve(settings)
  await fetch(`${first.url}/v1/Conversations`)
  await fetch(`${first.url}/nowhere`)
  const ended = await first.end('SIGTERM')
  expect(ended.code).toBe(0)
  const lines = linesOf(ended)
  for (const line of lines) {
    expect(line).toMatchObject({ level: expect.any(Number), time: expect.any(Number), version: expect.stringMatching(/^\d/) })
  }
  const said = (text: string) => lines.find(({ msg }) => msg.startsWith(text))
  expect(said('Parley listens on')).toMatchObject({ level: 30, msg: `Parley listens on ${first.url}`, url: first.url })
  expect(said('PARLEY_COLOUR is not a setting')).toMatchObject({ level: 40 })
  expect(said('request')).toMatchObject({ path: '/v1/Conversations', status: 401 })
  const shown = said('First start')
  expect(shown).toMatchObject({
    account_sid: expect.stringMatching(/^AC/),
    operator_token: expect.stringMatching(/^in .*admin-token$/),
  })
  const login = Buffer.from(`${shown?.account_sid}:${shown?.auth_token}`).toString('base64')
  await using second = await serve(settings)
  const answer = await fetch(`${second.url}/v1/Conversations`, { headers: { authorization: `Basic ${login}` } })
  expect(answer.status).toBe(200)
  expect(linesOf(await second.end('SIGTERM')).some(({ msg }) => msg.startsWith('First start'))).toBe(false)
})

test.each<[string, readonly string[], Readonly<Record<string, string>>, RegExp]>([
  ['a wrong setting', [], { PORT: 'eighty' }, /^PORT must be a whole number/],
  ['a wrong form of the log', [], { PARLEY_LOG_FORMAT: 'xml' }, /^PARLEY_LOG_FORMAT must be json or text/],
  ['an unknown flag', ['--colour', 'red'], {}, /^error: unknown option '--colour'/],
  ['a word too many', ['now'], {}, /^error: too many arguments/],
  ['a seed with several mistakes', [], { PARLEY_SEED: 'seed.json' }, /^seed\.json is not a seed:\n {2}.*\n {2}/],
  ['a file that is no database', [], { PARLEY_DATABASE_URL: 'sqlite:seed.json' }, /is not a Parley database/],
  ['a defect', [], { NODE_OPTIONS: '--import ./defect.mjs' }, /^Parley has failed$/],
])('a start that fails of %s says so in JSON lines alone', async (_, args, env, sentence) => {
  using place = folder()
  writeFileSync(place.file('seed.json'), '{"accounts":[{"colour":1,"users":[{}]}]}')
  writeFileSync(
    place.file('defect.mjs'),
    "process.emitWarning('old'); process.on('newListener', (name) => { if (name === 'SIGTERM') throw new Error('a defect') })",
  )
  const defaults = { PARLEY_DATABASE_URL: 'sqlite::memory:', PORT: '0' }
  const ended = await parley(['serve', ...args], { cwd: place.path, env: { ...json, ...defaults, ...env } })
  expect(ended.code).toBe(1)
  const fatal = linesOf(ended).filter(({ level }) => level === 60)
  expect(fatal).toEqual([expect.objectContaining({ msg: expect.stringMatching(sentence) })])
})

test('a port that is taken, and what throws outside of any request, are JSON lines too', async () => {
  using place = folder()
  await using other = await stranger((_, response) => void response.end())
  const taken = await parley(['serve'], {
    env: { ...json, PORT: String(other.port), PARLEY_DATABASE_URL: 'sqlite::memory:' },
  })
  expect(linesOf(taken)).toEqual([expect.objectContaining({ level: 60, msg: expect.stringContaining('is in use') })])
  writeFileSync(place.file('later.mjs'), "process.on('SIGUSR2', () => { throw new Error('a defect') })")
  await using server = await serve({
    env: { ...json, PARLEY_DATABASE_URL: 'sqlite::memory:', NODE_OPTIONS: `--import ${place.file('later.mjs')}` },
  })
  const ended = await server.end('SIGUSR2')
  expect(ended.code).toBe(1)
  expect(linesOf(ended).at(-1)).toMatchObject({ level: 60, err: { message: 'a defect' } })
})

test('in a terminal, and where it is asked for, start and errors are for people', async () => {
  const file = { stdout: false, terminal: true }
  expect(isJsonWanted(['node', 'parley', 'serve'], {}, file.stdout)).toBe(true)
  expect(isJsonWanted(['node', 'parley', 'serve'], {}, file.terminal)).toBe(false)
  expect(isJsonWanted(['node', 'parley', 'serve'], { PARLEY_LOG_FORMAT: 'json' }, file.terminal)).toBe(true)
  expect(isJsonWanted(['node', 'parley', 'serve', '--log-format', 'text'], { PARLEY_LOG_FORMAT: 'json' }, file.stdout)).toBe(
    false,
  )
  expect(isJsonWanted(['node', 'parley', 'serve', '--log-format=json'], { PARLEY_LOG_FORMAT: 'text' }, file.terminal)).toBe(true)
  const ended = await parley(['serve'], { env: { PARLEY_LOG_FORMAT: 'text', PORT: 'eighty' } })
  expect(ended).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^parley: PORT must be/) })
  // What other commands say is for whoever has run them.
  const other = await parley(['accounts', 'list'], { env: { ...json, PORT: 'eighty' } })
  expect(other.stderr).toMatch(/^parley: PORT must be/)
})
