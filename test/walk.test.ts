import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Block, blocksOf, walk } from '../scripts/walk.ts'
import { folder } from './support/process.ts'

const sh = (text: string): Block => ({ language: 'sh', text, line: 1 })
const js = (text: string): Block => ({ language: 'js', text, line: 1 })

/** Runs blocks in an empty folder; returns what the walk said. */
async function tried(...blocks: Block[]): Promise<string[]> {
  using place = folder()
  const said: string[] = []
  const env = { PATH: process.env.PATH }
  const placeholders = new Map([['SHOWN', 'meant']])
  await walk(blocks, { folder: place.path, env, isolation: [], placeholders, say: (text) => void said.push(text) })
  return said
}

test('blocks that succeed, one after the other in one shell', async () => {
  const blocks = [
    sh('export A=1\ncd /\n'),
    sh('test "$A" = 1 && test "$PWD" = / && test SHOWN = meant\n'),
    { ...sh(''), language: 'yaml' },
  ]
  expect(await tried(...blocks)).toEqual([
    'line 1 of the README (sh)',
    'line 1 of the README (sh)',
    'line 1 of the README (yaml) is not run: its language is not one of sh, bash, js, mjs',
  ])
  await tried(js('import { strictEqual } from "node:assert"\nstrictEqual(1, 1)\n'))
})

test.each([
  ['the last command', sh('true\nfalse\n')],
  ['an earlier command', sh('false\ntrue\n')],
  ['part of a pipe', sh('false | cat\n')],
  ['a command that is not there', sh('no-such-command\n')],
  ['a program', js('throw new Error("no")\n')],
  ['the syntax', sh('if\n')],
  ['a server in the background', sh('npm() { echo "parley: port 8080 is in use" >&2; }\nnpm start &\n')],
])('%s fails: so does the walk', async (_, block) => {
  await expect(tried(sh('true\n'), block)).rejects.toThrow(/failed: /)
})

test('the servers that a block starts are waited for, and what the first one prints is known to later blocks', async () => {
  const [sid, token] = [`AC${'a'.repeat(32)}`, 'b'.repeat(32)]
  const account = `\\n  account SID     ${sid}\\n  auth token      ${token}\\n`
  const npm = `npm() { read -r < first; echo 'Parley listens on http://x'; read -r < second; printf '${account}'; }\n`
  const gates = '(echo > first; echo > second) &\n'
  await tried(
    sh(`mkfifo first second\n${npm}npm start &    # the server\n${gates}`),
    sh(`test "$SID $TOKEN" = "${sid} ${token}"\n`),
  )
})

test('the README has command blocks, and no language that the walk leaves out', () => {
  const blocks = blocksOf(readFileSync(new URL('../README.md', import.meta.url), 'utf8'))
  expect(blocks.length).toBeGreaterThan(2)
  expect(blocks.filter(({ language }) => !['sh', 'js'].includes(language))).toEqual([])
})
