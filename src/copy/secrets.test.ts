import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Vault } from '../vault.ts'
import { copySecrets, type Location, refuseOtherKey } from './secrets.ts'

const [before, after] = ['1'.repeat(64), '2'.repeat(64)]

function place(files: Readonly<Record<string, string>> = {}): Location & { readonly read: (name: string) => string } {
  const dataDir = mkdtempSync(join(tmpdir(), 'parley-secrets-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true }))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dataDir, name), content)
  const read = (name: string) => readFileSync(join(dataDir, name), 'utf8')
  return { database: { engine: 'sqlite', file: join(dataDir, 'parley.db') }, dataDir, read }
}

test('while the secret key is replaced both keys are copied, whichever of them the database was sealed with last', () => {
  for (const check of [new Vault(before).createCheck(), new Vault(after).createCheck()]) {
    const from = place({ 'parley.key': after, 'parley.key-previous': before })
    const to = place()
    refuseOtherKey(to, check)
    expect(copySecrets(from, to, check)[0]).toMatch(/^The secret key is copied to /)
    expect([to.read('parley.key'), to.read('parley.key-previous')]).toEqual([`${after}\n`, `${before}\n`])
    // Once more: what is there is the key of the database.
    refuseOtherKey(to, check)
  }
})

test('a key of another database is not copied, and refused where it is', () => {
  const check = new Vault(before).createCheck()
  const from = place({ 'parley.key': after })
  expect(copySecrets(from, place(), check)[0]).toMatch(/^The secret key is not in a file/)
  expect(() => refuseOtherKey(from, check)).toThrow('is not the secret key of the source')
})
