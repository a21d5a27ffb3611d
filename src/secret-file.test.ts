import { execFileSync } from 'node:child_process'
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readConfig, settings } from './config.ts'
import { ConfigError } from './config-error.ts'
import { makeTemporaryFolder, removeTemporaryFolder } from './temporary.ts'

const key = 'ab'.repeat(32)

function folder() {
  const path = makeTemporaryFolder('parley-secret-')
  return {
    write: (content: string | Buffer) => {
      const file = join(path, 'secret')
      writeFileSync(file, content)
      return file
    },
    path,
    [Symbol.dispose]: () => removeTemporaryFolder(path),
  }
}

function sentenceOf(texts: Parameters<typeof readConfig>[0]): string {
  try {
    readConfig(texts)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error('the settings were accepted')
}

test('each setting that is or contains a secret can be a file, and no other', () => {
  const files = settings.map(({ env }) => env).filter((env) => env.endsWith('_FILE'))
  expect(files).toEqual([
    'PARLEY_DATABASE_URL_FILE',
    'PARLEY_AUTH_TOKEN_FILE',
    'PARLEY_METRICS_TOKEN_FILE',
    'PARLEY_SECRET_KEY_FILE',
    'PARLEY_SECRET_KEY_PREVIOUS_FILE',
    'PARLEY_ADMIN_TOKEN_FILE',
    'PARLEY_OPENID_CLIENT_SECRET_FILE',
    'PARLEY_MEDIA_ACCESS_KEY_ID_FILE',
    'PARLEY_MEDIA_SECRET_ACCESS_KEY_FILE',
    'PARLEY_MAIL_RELAY_FILE',
    'PARLEY_MAIL_IMAP_FILE',
  ])
})

test.each([
  ['a bare value', key],
  ['a line', `${key}\n`],
  ['a line of Windows', `\ufeff${key}\r\n`],
])('%s in a file', (_, text) => {
  using place = folder()
  expect(readConfig({ PARLEY_SECRET_KEY_FILE: place.write(text) }).secretKey).toBe(key)
})

test('a file is read by the same rules as a value', () => {
  using place = folder()
  const database = place.write('postgres://parley:pass%20word@db/parley\n')
  expect(readConfig({ PARLEY_DATABASE_URL_FILE: database }).database).toEqual({
    engine: 'postgres',
    url: 'postgres://parley:pass%20word@db/parley',
  })
  expect(readConfig({ PARLEY_DATABASE_URL_FILE: '' }).database).toEqual(readConfig({}).database)
})

test('a secret both as value and as file is an error', () => {
  using place = folder()
  const texts = { PARLEY_SECRET_KEY: key, PARLEY_SECRET_KEY_FILE: place.write(key) }
  expect(sentenceOf(texts)).toBe('PARLEY_SECRET_KEY and PARLEY_SECRET_KEY_FILE are both set: leave out one of them')
  expect(readConfig({ ...texts, PARLEY_SECRET_KEY: '' }).secretKey).toBe(key)
})

test.each([
  ['is empty', ''],
  ['is empty', ' \n\n'],
  ['has more than one line', 'confidential\nconfidential\n'],
  ['has more than 16384 bytes', 'confidential'.repeat(2000)],
  ['is not text (UTF-8)', Buffer.from([0x63, 0xff, 0xfe])],
])('a file that %s: a sentence with its name and nothing of its content', (problem, content) => {
  using place = folder()
  const file = place.write(content)
  expect(sentenceOf({ PARLEY_ADMIN_TOKEN_FILE: file })).toBe(`PARLEY_ADMIN_TOKEN_FILE: ${file} ${problem}`)
})

test('a file that is not there, a folder, and a pipe that nobody writes to', () => {
  using place = folder()
  const file = join(place.path, 'pipe')
  expect(sentenceOf({ PARLEY_AUTH_TOKEN_FILE: file })).toBe(`PARLEY_AUTH_TOKEN_FILE: ${file} cannot be read (ENOENT)`)
  expect(sentenceOf({ PARLEY_AUTH_TOKEN_FILE: place.path })).toBe(`PARLEY_AUTH_TOKEN_FILE: ${place.path} is not a file`)
  execFileSync('mkfifo', [file])
  expect(sentenceOf({ PARLEY_AUTH_TOKEN_FILE: file })).toBe(`PARLEY_AUTH_TOKEN_FILE: ${file} is not a file`)
  rmSync(file)
})

test.skipIf(process.getuid?.() === 0)('a file that may not be read', () => {
  using place = folder()
  const file = place.write(key)
  chmodSync(file, 0)
  expect(sentenceOf({ PARLEY_SECRET_KEY_FILE: file })).toBe(`PARLEY_SECRET_KEY_FILE: ${file} cannot be read (EACCES)`)
})

const secrets = settings.filter(({ env }) => env.endsWith('_FILE')).map(({ env }) => env)

test.each(secrets)('%s with something else in it: an error that shows nothing of it', (env) => {
  using place = folder()
  for (const content of [
    'confidential 1',
    'user: confidential@db',
    'mysql://user:confid/ential@db/ confidential',
    'confid\tential',
  ]) {
    const file = place.write(content)
    const sentence = sentenceOf({ [env]: file })
    expect(sentence).toContain(`the content of ${file} (${env}) must be `)
    expect(sentence).not.toMatch(/confid/)
  }
})
