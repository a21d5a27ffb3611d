import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { inspect, newDatabase } from '../support/databases.ts'
import { hostedLines, hostedService, movedAccount, textOf } from '../support/moving.ts'
import { folder, parley, spawnParley } from '../support/process.ts'

const [conversations, messages] = [200, 20]
const all = conversations * messages
/** Records of a request, as the command sends them. */
const batch = 500

/** An installation with an account, and a file for it. */
async function startScene(text = textOf(hostedLines(conversations, messages))) {
  const database = await newDatabase()
  const files = folder()
  const file = files.file('records.jsonl')
  writeFileSync(file, text)
  writeFileSync(files.file('token'), 'given123token')
  const settings = { env: { ...database.env, PARLEY_ADMIN_TOKEN: 'an-operator-token' } }
  const run = (...args: string[]) => parley(args, settings)
  const made = await run('accounts', 'create', '--sid', movedAccount, '--token', `@${files.file('token')}`)
  expect(made).toMatchObject({ code: 0 })
  const inside = inspect(database.config)
  const kept = async () => (await inside.rows('installation')).filter(({ name }) => name.startsWith('import '))
  return {
    inside,
    file,
    files,
    kept,
    run,
    import: (...more: string[]) => run('import', '--from', file, ...more),
    /** Kills an import in the midst of the file. */
    async killed(): Promise<void> {
      const importing = spawnParley(['import', '--from', file], settings)
      await expect.poll(async () => (await kept()).length).toBe(1)
      importing.signal('SIGKILL')
      expect(await importing.ended).toMatchObject({ signal: 'SIGKILL' })
      expect(await kept()).toHaveLength(1)
    },
    /** What an export has of the service in the file. */
    async exported(): Promise<string[]> {
      expect(await run('export', '--account', movedAccount, '--out', files.file('out'))).toMatchObject({ code: 0 })
      const lines = readFileSync(files.file('out/records.jsonl'), 'utf8').split('\n')
      return lines.filter((line) => line.includes(`"chat_service_sid":"${hostedService}"`))
    },
    async [Symbol.asyncDispose]() {
      await inside.close()
      files[Symbol.dispose]()
      await database.dispose()
    },
  }
}

/** The columns of a kind, or of all kinds together. */
function columnsOf(stdout: string, kind = '[a-z_]+') {
  const names = ['read', 'created', 'updated', 'unchanged', 'kept', 'skipped', 'refused'] as const
  const rows = [...stdout.matchAll(new RegExp(`^${kind}((?: +\\d+){7})$`, 'gm'))].map(([, row = '']) =>
    row.trim().split(/ +/).map(Number),
  )
  const sums = names.map((name, i) => [name, rows.reduce((sum, row) => sum + (row[i] ?? 0), 0)] as const)
  return Object.fromEntries(sums) as Record<(typeof names)[number], number>
}

test('an import that was killed goes on where it was, and ends as one that was not', async () => {
  const lines = textOf(hostedLines(conversations, messages)).trimEnd().split('\n')
  lines.splice(4, 0, '{"kind":"dragon"}')
  const text = `${lines.join('\n')}\n`
  await using scene = await startScene(text)
  await using other = await startScene(text)
  await scene.killed()
  const report = scene.files.file('faults.jsonl')
  const resumed = await scene.import('--report', report)
  const line = Number(/It goes on after line (\d+), where/.exec(resumed.stdout)?.[1])
  expect(line).toBeGreaterThanOrEqual(batch)
  const whole = await other.import()
  const expected = columnsOf(whole.stdout)
  const { unchanged, created, ...rest } = columnsOf(resumed.stdout)
  // One batch alone is stored once more.
  expect(unchanged - expected.unchanged).toBeLessThanOrEqual(batch)
  expect({ ...rest, created: created + unchanged }).toEqual({ ...rest, created: expected.created + expected.unchanged })
  expect(rest).toMatchObject({ read: expected.read, updated: expected.updated, refused: 0 })
  expect(columnsOf(resumed.stdout, 'message')).toMatchObject({ read: all, refused: 0 })
  // What was said before is said again.
  for (const { code, stderr } of [resumed, whole]) {
    expect(code).toBe(1)
    expect(stderr).toMatch(/records\.jsonl:5, dragon: its kind is not one of/)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  }
  expect(readFileSync(report, 'utf8').trimEnd().split('\n')).toEqual([expect.stringContaining('"line":5,"kind":"dragon"')])
  const exported = await scene.exported()
  expect(exported.length).toBeGreaterThan(all)
  expect(exported).toEqual(await other.exported())

  // It is done: the next one begins with the file.
  expect(await scene.kept()).toEqual([])
})

test('a file that has changed before that place begins anew', async () => {
  await using scene = await startScene()
  await scene.killed()
  // As long as before, and with the same first and last lines.
  const text = readFileSync(scene.file, 'utf8')
  const changed = text.replace('Message 3 of 1"', 'Massage 3 of 1"')
  expect(changed.length).toBe(text.length)
  writeFileSync(scene.file, changed)
  const trial = await scene.import('--dry-run')
  expect(trial.stdout).not.toMatch(/goes on|begins anew/)
  expect(await scene.kept()).toHaveLength(1)
  const anew = await scene.import()
  expect(anew).toMatchObject({ code: 0, stderr: '' })
  expect(anew.stdout).toContain('It begins anew, not where the import before was: the file has changed since.')
  expect(columnsOf(anew.stdout, 'message')).toMatchObject({ read: all, updated: 1, refused: 0 })
  expect((await scene.exported()).filter((line) => line.includes('Massage 3 of 1"'))).toHaveLength(1)
})

test('a file that is shorter than that place begins anew, and so does an import with other options', async () => {
  await using scene = await startScene()
  await scene.killed()
  const text = readFileSync(scene.file, 'utf8')
  writeFileSync(scene.file, text.slice(0, 3000))
  const short = await scene.import()
  expect(short.stdout).toContain('the file has changed since.')
  expect(short.stderr).toContain('the file ends here without its last line')
  writeFileSync(scene.file, text)
  await scene.killed()
  const optional = await scene.import('--receipts', 'none')
  expect(optional.stdout).toContain('It begins anew, not where the import before was: it was begun with other options.')
  expect(columnsOf(optional.stdout, 'message')).toMatchObject({ read: all, refused: 0 })
})

test('an import whose earlier part was deleted here begins anew', async () => {
  await using scene = await startScene()
  await scene.killed()
  await scene.inside.query('delete from messages')
  const anew = await scene.import()
  expect(anew).toMatchObject({ code: 0, stderr: '' })
  expect(anew.stdout).toContain('It begins anew: what the import before had stored is not there any more.')
  const { read, created, unchanged } = columnsOf(anew.stdout, 'message')
  expect([read, created + unchanged]).toEqual([all, all])
  expect((await scene.inside.query('select sid from messages')).length).toBe(all)
})
