import { createHash } from 'node:crypto'
import { type Dirent, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { contentFile } from '../../src/media/files.ts'
import { hostedLines, movedAccount, textOf } from '../support/moving.ts'
import { folder, parley, type Serving, serve } from '../support/process.ts'
import { hasSmallDisks, type SmallDisk, smallDisk } from '../support/small-disk.ts'

// biome-ignore lint/suspicious/noExplicitAny: lines of every kind are read and changed
type Line = any

const token = 'given123token'
const [conversations, messages, files] = [100, 20, 40]
const fileBytes = 100_000

/** An installation whose database and media are where they are put, and a file of records and media for it. */
async function scene(places: { readonly database: string; readonly data: string }, program?: readonly string[]) {
  const own = folder()
  const lines: Line[] = [...hostedLines(conversations, messages)]
  const contents = new Map<string, Buffer>()
  for (const [n, line] of lines.filter(({ kind }) => kind === 'message').entries()) {
    if (n >= files) break
    const content = Buffer.alloc(fileBytes, `file ${n}, `)
    const sha256 = createHash('sha256').update(content).digest('hex')
    contents.set(sha256, content)
    const file = { sid: `ME${String(n).padStart(32, '0')}`, size: fileBytes, content_type: 'image/png', filename: `${n}.png` }
    line.resource.media = [{ category: 'media', ...file }]
    line.extra = { media: [{ ...file, sha256, category: 'media', author: 'ada' }] }
    const path = contentFile(own.file('media'), sha256)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
  }
  writeFileSync(own.file('records.jsonl'), textOf(lines))
  writeFileSync(own.file('token'), token)
  const env = {
    PARLEY_DATABASE_URL: `sqlite:${places.database}/parley.db`,
    PARLEY_DATA_DIR: places.data,
    PARLEY_ADMIN_TOKEN: 'an-operator-token',
  }
  const settings = { env, ...(program && { program }) }
  const run = (...args: string[]) => parley(args, settings)
  expect(await run('accounts', 'create', '--sid', movedAccount, '--token', `@${own.file('token')}`)).toMatchObject({ code: 0 })
  return { ...own, settings, run, contents, import: () => run('import', '--from', own.file('records.jsonl')) }
}

/** Says how many messages an import has created, and how many were there. */
function storedBy(stdout: string): { created: number; unchanged: number } {
  const [, created, unchanged] = new RegExp(`message +${conversations * messages} +(\\d+) +0 +(\\d+) +0 +0 +0`).exec(stdout) ?? []
  return { created: Number(created), unchanged: Number(unchanged) }
}

const messagesIn = (text: string): string[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line): Line => JSON.parse(line))
    .filter(({ kind }) => kind === 'message')
    .map(({ resource: { sid, index, body, media } }) => `${sid} ${index} ${body} ${media?.length ?? 0}`)
    .sort()

describe.runIf(hasSmallDisks || process.env.CI)('on a full disk', () => {
  test('an import ends with a sentence, and the same command stores the rest when there is room', async () => {
    await using disk = await smallDisk(32_000_000)
    using media = folder()
    using installed = await scene({ database: disk.path, data: media.path }, disk.program)
    disk.fill(1_500_000)
    const ended = await installed.import()
    expect(ended.code).toBe(1)
    expect(ended.stderr).toBe(
      'parley: the disk of the database is full: make room, or see the log of the server, and run the same command again, ' +
        'which stores the rest\n',
    )
    disk.free()
    const before = await expectWhole(installed)
    expect(before).toBeGreaterThan(0)
    expect(before).toBeLessThan(conversations * messages)
  })

  test('an import goes on by itself when there is room in time, and the server with it', async () => {
    await using disk = await smallDisk(32_000_000)
    using media = folder()
    using installed = await scene({ database: disk.path, data: media.path }, disk.program)
    await using server = await serve(installed.settings)
    disk.fill(1_500_000)
    const importing = installed.import()
    await expect.poll(() => server.stdout()).toContain('database or disk is full')
    disk.free()
    expect(await importing).toMatchObject({ code: 0, stderr: '' })
    expect(await expectWhole(installed)).toBe(conversations * messages)
  })

  test('an import whose files find no room says so, leaves no part of one, and brings them when there is', async () => {
    await using disk = await smallDisk(32_000_000)
    using database = folder()
    using installed = await scene({ database: database.path, data: disk.path }, disk.program)
    disk.fill(10.5 * fileBytes)
    const ended = await installed.import()
    expect(ended.code).toBe(1)
    expect(ended.stderr).toMatch(/^parley: the disk of the media is full: make room.*which stores the rest$/m)
    const stored = contentsOn(disk)
    expect(stored.length).toBeGreaterThan(0)
    expect(stored.length).toBeLessThan(files)
    disk.free()
    await expectWhole(installed)
    expect(contentsOn(disk)).toEqual([...installed.contents.keys()].sort())
  })

  test.each([
    ['rows', ['--no-files'], 400_000],
    ['files', [], 3_000_000],
  ])('the reading of a hosted account whose %s find no room goes on where it was', async (_what, options, left) => {
    await using disk = await smallDisk(32_000_000)
    using place = folder()
    using installed = await scene({ database: place.path, data: place.path })
    expect(await installed.import()).toMatchObject({ code: 0 })
    await using hosted = await serve(installed.settings)
    const read = () => reading(hosted, disk, options)
    disk.fill(left)
    const ended = await read()
    expect(ended.code).toBe(1)
    expect(ended.stderr).toContain(
      `the disk of ${disk.path}/moved is full: make room, and run the same command again, which goes on from here\n`,
    )
    disk.free()
    expect(await read()).toMatchObject({ code: 0 })
    const moved = join(disk.seen, 'moved')
    const records = readFileSync(join(moved, 'records.jsonl'), 'utf8')
    expect(messagesIn(records)).toEqual(messagesIn(readFileSync(installed.file('records.jsonl'), 'utf8')))
    for (const [sha256, content] of options.length > 0 ? [] : installed.contents) {
      expect(readFileSync(contentFile(join(moved, 'media'), sha256)).equals(content)).toBe(true)
    }
  })
})

function reading({ url }: Serving, disk: SmallDisk, options: readonly string[]) {
  const place = ['--folder', join(disk.path, 'moved'), '--url', url, '--media-url', url]
  const env = { TWILIO_ACCOUNT_SID: movedAccount, TWILIO_AUTH_TOKEN: token }
  return parley(['import', '--from-twilio', '--fetch-only', '--rate', '1000', ...place, ...options], {
    env,
    program: disk.program,
  })
}

/** Whole contents on the disk, and nothing that is not one. */
function contentsOn(disk: SmallDisk): string[] {
  const media = join(disk.seen, 'parley.media')
  // The mark says whose folder it is.
  const isContent = (entry: Dirent) => entry.isFile() && entry.name !== 'installation'
  const paths = readdirSync(media, { recursive: true, withFileTypes: true }).filter(isContent)
  for (const { name, parentPath } of paths) {
    expect(
      createHash('sha256')
        .update(readFileSync(join(parentPath, name)))
        .digest('hex'),
    ).toBe(name)
  }
  return paths.map(({ name }) => name).sort()
}

/** Imports again: what is there stays, the rest comes, and an export has every message. Returns how many were there. */
async function expectWhole({ run, import: again, file }: Awaited<ReturnType<typeof scene>>): Promise<number> {
  const done = await again()
  expect(done).toMatchObject({ code: 0, stderr: '' })
  const { created, unchanged } = storedBy(done.stdout)
  expect(created + unchanged).toBe(conversations * messages)
  expect(await run('export', '--account', movedAccount, '--out', file('out'))).toMatchObject({ code: 0 })
  const out = readFileSync(file('out/records.jsonl'), 'utf8')
  expect(messagesIn(out)).toEqual(messagesIn(readFileSync(file('records.jsonl'), 'utf8')))
  return unchanged
}
