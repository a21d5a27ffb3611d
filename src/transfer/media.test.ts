import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { contentFile } from '../media/files.ts'
import { copyContent, hasContent } from './media.ts'

test('only a file with the bytes of its name is brought', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-media-'))
  const [from, to] = [join(folder, 'from'), join(folder, 'to')]
  const placeOf = (sha256: string) => {
    const place = contentFile(from, sha256)
    mkdirSync(dirname(place), { recursive: true })
    return place
  }
  const good = createHash('sha256').update('picture').digest('hex')
  writeFileSync(placeOf(good), 'picture')
  const secret = join(folder, 'secret')
  writeFileSync(secret, 'picture')
  const [other, pipe, link, directory, nothing] = ['1', '2', '3', '4', '5'].map((digit) => digit.repeat(64))
  writeFileSync(placeOf(other ?? ''), 'picture')
  execFileSync('mkfifo', [placeOf(pipe ?? '')])
  symlinkSync(secret, placeOf(link ?? ''))
  mkdirSync(placeOf(directory ?? ''))
  for (const sha256 of [other, pipe, link, directory, nothing]) {
    expect(await hasContent(sha256 ?? '', from)).toBe(false)
    expect(await copyContent({ sha256: sha256 ?? '', size: 0 }, from, to)).toBe(false)
    expect(existsSync(contentFile(to, sha256 ?? ''))).toBe(false)
  }
  expect(await hasContent(good, from)).toBe(true)
  expect(await copyContent({ sha256: good, size: 0 }, from, to)).toBe(true)
  expect(readFileSync(contentFile(to, good), 'utf8')).toBe('picture')
  rmSync(folder, { recursive: true })
})
