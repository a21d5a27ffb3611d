import { execFileSync } from 'node:child_process'
import { createHash, hash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sourceFile } from './source-file.ts'

test('a file hashes what comes before any place in the chunk that was read last, from wherever it is read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-source-'))
  try {
    const path = join(folder, 'file')
    const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7919) % 251))
    writeFileSync(path, bytes)
    for (const start of [0, 1, 70_000, bytes.length]) {
      const file = sourceFile(path, start, createHash('sha256').update(bytes.subarray(0, start)))
      expect([file.bytes, file.read()]).toEqual([bytes.length, start])
      let before = start
      for await (const chunk of file.chunks) {
        for (const offset of [before, before + 1, before + (chunk.length >> 1), before + chunk.length]) {
          expect(file.hashTo(offset)).toBe(hash('sha256', bytes.subarray(0, offset)))
        }
        before += chunk.length
        expect(file.read()).toBe(before)
      }
      expect(before).toBe(bytes.length)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a pipe is read, such as that of a command which unpacks a file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-source-'))
  try {
    const path = join(folder, 'pipe')
    execFileSync('mkfifo', [path])
    const written = writeFile(path, 'one line\n')
    const file = sourceFile(path, 0, createHash('sha256'))
    let read = ''
    for await (const chunk of file.chunks) read += Buffer.from(chunk)
    await written
    expect([read, file.hashTo(9)]).toEqual(['one line\n', hash('sha256', 'one line\n')])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
