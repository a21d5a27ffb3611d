import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parseStored } from '../json.ts'
import { openLog } from './log.ts'

test('a log that is closed has every line in order, also of what came while others were being written', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'log')
  const fd = openSync(file, 'w')
  const { log, close } = openLog('info', fd)
  const lines = 3000
  for (let n = 0; n < lines; n++) {
    log.info({ n }, 'a line that takes some room, so that there is more than one write')
    // Some come while a write is under way, some after it.
    if (n % 700 === 0) await new Promise(setImmediate)
  }
  await close()
  closeSync(fd)
  const written = readFileSync(file, 'utf8').trimEnd().split('\n')
  expect(written.map((line) => parseStored<{ n: number }>(line).n)).toEqual(Array.from({ length: lines }, (_, n) => n))
})
