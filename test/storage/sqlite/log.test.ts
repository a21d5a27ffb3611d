import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { logPages, openConnection } from '../../../src/storage/sqlite/connection.ts'

test('the write-ahead log takes many commits before it is moved into the file, and stays bounded', () => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-log-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'parley.db')
  const db = openConnection(file, { readonly: false, durable: false })
  onTestFinished(() => void db.close())
  const pageBytes = Number(db.pragma('page_size', { simple: true }))
  db.exec('create table texts (text blob)')
  const fill = db.prepare('insert into texts (text) values (zeroblob(?))')
  const pages = Array.from({ length: 30 }, () => {
    fill.run((pageBytes * logPages) / 10)
    return statSync(`${file}-wal`).size / pageBytes
  })
  expect(Math.max(...pages)).toBeGreaterThan(logPages)
  expect(Math.max(...pages)).toBeLessThan(logPages * 1.3)
})
