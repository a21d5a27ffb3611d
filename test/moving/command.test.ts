import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { inspect, newDatabase } from '../support/databases.ts'
import { hostedLines, movedAccount, hostedService as service, hostedSid as sid, textOf } from '../support/moving.ts'
import { folder, parley, serve, spawnParley } from '../support/process.ts'

const account_sid = movedAccount
const [token, keySid, secret] = ['given123token', `SK${'6'.repeat(32)}`, 'givenSECRET9']
const lines = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n').slice(1)

test('an import that was killed is run again, without a server or with one, and everything is there', async () => {
  await using database = await newDatabase()
  using files = folder()
  writeFileSync(files.file('hosted.jsonl'), textOf(hostedLines(150, 20)))
  writeFileSync(files.file('token'), `${token}\n`)
  const settings = { env: { ...database.env, PARLEY_ADMIN_TOKEN: 'an-operator-token' } }
  const run = (...args: string[]) => parley(args, settings)

  expect(await run('accounts', 'create', 'Moved', '--sid', account_sid, '--token', `@${files.file('token')}`)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(account_sid),
  })
  expect(await run('accounts', 'create', '--sid', account_sid)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('is an account already'),
  })
  expect(await run('accounts', 'create', '--sid', 'AC123', '--token', 'no')).toMatchObject({ code: 1, stdout: '' })
  expect(await run('accounts', 'create', '--token', `@${files.file('none')}`)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('none cannot be read'),
  })
  expect(await run('keys', 'create', account_sid, '--sid', keySid, '--secret', secret)).toMatchObject({ code: 0 })
  expect(await run('keys', 'create', account_sid, '--sid', keySid)).toMatchObject({ code: 1 })

  const killed = spawnParley(['import', '--from', files.file('hosted.jsonl')], settings)
  await using inside = inspect(database.config)
  const stored = async () => (await inside.query('select sid from messages limit 1')).length
  await expect.poll(stored).toBe(1)
  killed.signal('SIGKILL')
  expect(await killed.ended).toMatchObject({ signal: 'SIGKILL', stdout: '' })

  // It is refused before anything is stored.
  expect(await run('import', '--from', files.file('hosted.jsonl'), '--report', files.file('no/such/file'))).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^parley: .*cannot be written \(ENOENT\)$/m),
  })
  const done = await run('import', '--from', files.file('hosted.jsonl'))
  expect(done).toMatchObject({ code: 0, stderr: '' })
  const [, created, unchanged] = /message +3000 +(\d+) +0 +(\d+) +0 +0/.exec(done.stdout) ?? []
  expect(Number(created)).toBeGreaterThan(0)
  expect(Number(unchanged)).toBeGreaterThan(0)
  expect(await run('export', '--account', account_sid, '--out', files.file('once'))).toMatchObject({ code: 0 })

  await using server = await serve(settings)
  const again = await run('import', '--from', files.file('hosted.jsonl'))
  expect(again).toMatchObject({ code: 0, stderr: '' })
  expect(again.stdout).toMatch(/message +3000 +0 +0 +3000 +0 +0/)
  expect(await run('export', '--account', account_sid, '--out', files.file('twice.jsonl'))).toMatchObject({ code: 0 })
  expect(lines(files.file('twice.jsonl'))).toEqual(lines(files.file('once/records.jsonl')))

  // The application goes on with what it has: the key, and the next index.
  const authorization = `Basic ${Buffer.from(`${keySid}:${secret}`).toString('base64')}`
  const call = async (path: string, init = {}) =>
    (
      await fetch(`${server.url}/v1/Services/${service}/Conversations/${sid('CH', 7)}${path}`, {
        headers: { authorization },
        ...init,
      })
    ).json()
  expect(await call(`/Messages/${sid('IM', 7019)}`)).toMatchObject({ body: 'Message 19 of 7', index: 38, author: 'ada' })
  expect(await call('/Messages', { method: 'POST', body: new URLSearchParams({ Body: 'next' }) })).toMatchObject({ index: 39 })
  expect(await run('export', '--conversation', sid('CH', 7))).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('"next"'),
  })
  expect(await run('export', '--service', sid('IS', 2))).toMatchObject({ code: 1, stderr: expect.stringContaining('no service') })
})
