import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { settings } from '../src/config.ts'
import { makeTemporaryFolder, removeTemporaryFolder } from '../src/temporary.ts'
import { startServer } from './support/server.ts'
import { stranger } from './support/stranger.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')

test('compose needs no file and no variable but those that operations.md writes', () => {
  const compose = read('deploy/compose.yaml')
  const [block = ''] = /cat > deploy\/\.env\) << EOF\n[\s\S]*?\nEOF/.exec(read('docs/operations.md')) ?? []
  const written = [...block.matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name)
  const used = [...compose.matchAll(/\$\{([A-Z_]+)/g)].map(([, name]) => name)
  expect(new Set(used)).toEqual(new Set(written))
  const files = [...compose.matchAll(/- (\.\/[\w./-]+):/g)].map(([, path = '']) => join('deploy', path))
  expect(files).toEqual(['deploy/Caddyfile'])
  expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([])
  expect(compose).not.toMatch(/env_file|^secrets:/m)
})

test('what compose sets are settings', () => {
  const names = settings.map(({ env }) => env as string)
  const set = [...read('deploy/compose.yaml').matchAll(/^ +(PARLEY_[A-Z_]+):/gm)].map(([, name]) => name)
  expect(set.length).toBeGreaterThan(3)
  expect(set.filter((name) => !names.includes(name ?? ''))).toEqual([])
})

test.runIf(existsSync(join(root, '.git')))('git ignores the files that secrets are written to', () => {
  const secrets = ['deploy/.env', 'deploy/parley.env', 'data/parley.key', 'data/shared/parley.key', 'walk/parley.admin-token']
  const { stdout } = spawnSync('git', ['check-ignore', ...secrets], { cwd: root, encoding: 'utf8' })
  expect(stdout.trim().split('\n')).toEqual(secrets)
})

const unit = read('deploy/parley.service')
/** With the lines that the unit has as comments, for secrets as credentials. */
const unitWithCredentials = unit.replaceAll(/^#(?=LoadCredential=|Environment=)/gm, '')

test.runIf(spawnSync('systemd-analyze', ['--version']).status === 0)('systemd finds no fault with the unit', () => {
  const folder = makeTemporaryFolder('parley-unit-')
  const file = join(folder, 'parley.service')
  try {
    const verify = (text: string) => {
      // What it starts has to be on this machine.
      writeFileSync(file, text.replace(/^ExecStart=.*/m, `ExecStart=${process.execPath} serve`))
      const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' })
      return { status, text: stdout + stderr }
    }
    expect(verify(unit)).toEqual({ status: 0, text: '' })
    expect(verify(unitWithCredentials)).toEqual({ status: 0, text: '' })
    expect(verify(unitWithCredentials.replace('LoadCredential=', 'LoadCredentials=')).text).toContain('LoadCredentials')
  } finally {
    removeTemporaryFolder(folder)
  }
})

test('what the unit can give as a credential are settings', () => {
  const credentials = [...unitWithCredentials.matchAll(/^LoadCredential=([\w-]+):/gm)].map(([, name]) => name)
  const given = [...unitWithCredentials.matchAll(/(PARLEY_\w+_FILE)=%d\/([\w-]+)/g)]
  expect(credentials.length).toBeGreaterThan(1)
  expect(given.map(([, , credential]) => credential)).toEqual(credentials)
  const names = settings.map(({ env }) => env as string)
  expect(given.filter(([, env = '']) => !names.includes(env))).toEqual([])
})

const alerts = read('deploy/alerts.yaml')

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[]
}

/** The queries of the dashboard, with values in place of what Grafana fills in. */
function dashboardQueries(): string[] {
  const { panels }: Dashboard = JSON.parse(read('deploy/grafana-dashboard.json'))
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  return queries.map((query) => query.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*'))
}

test('alerts, dashboard and documentation name metrics that there are, and the dashboard shows all of Parley', async () => {
  await using server = await startServer()
  const text = await (await fetch(`${server.metricsUrl}/metrics`)).text()
  const there = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name))
  const named = (queries: string) =>
    (queries.match(/\b(?:parley|process|nodejs)_[a-z0-9_]+/g) ?? []).map((name) => {
      const base = name.replace(/_(?:bucket|sum|count)$/, '')
      return there.has(base) ? base : name
    })
  const shown = new Set(named(dashboardQueries().join('\n')))
  const [page = ''] = /^## Metrics and logs$[\s\S]*?^## /m.exec(read('docs/operations.md')) ?? []
  for (const names of [named(alerts), [...shown], named(page)]) {
    expect(names.length).toBeGreaterThan(10)
    expect(names.filter((name) => !there.has(name))).toEqual([])
  }
  expect([...there].filter((name) => name.startsWith('parley_') && !shown.has(name))).toEqual([])
})

const promtool = spawnSync('promtool', ['--version']).status === 0

test.runIf(promtool || process.env.CI)('Prometheus understands the alerts and every query of the dashboard', () => {
  const folder = makeTemporaryFolder('parley-rules-')
  try {
    const check = (file: string) => {
      const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' })
      return { status, text: stdout + stderr }
    }
    const own = check(join(root, 'deploy/alerts.yaml'))
    expect(own).toEqual({ status: 0, text: expect.stringMatching(/SUCCESS: \d\d rules found/) })
    const rules = dashboardQueries().map((expr, i) => ({ record: `panel:${i}`, expr }))
    const file = join(folder, 'dashboard.json')
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }))
    expect(check(file)).toEqual({ status: 0, text: expect.stringContaining(`SUCCESS: ${rules.length} rules found`) })
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: [{ record: 'panel:x', expr: 'sum(' }] }] }))
    expect(check(file).status).not.toBe(0)
  } finally {
    removeTemporaryFolder(folder)
  }
})

test('the container is given every file that it copies', () => {
  const copied = [...read('deploy/Containerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = '']) =>
    sources.split(' '),
  )
  const given: string[] = read('.dockerignore').match(/(?<=^!).+/gm) ?? []
  expect(copied.length).toBeGreaterThan(3)
  expect(copied.filter((file) => !given.includes(file) && !given.includes(dirname(file)))).toEqual([])
  expect(copied.filter((file) => !existsSync(join(root, file)))).toEqual([])
})

test('the labels of the container say what package.json says, and its base is one image in one place', () => {
  const file = read('deploy/Containerfile')
  const labels = Object.fromEntries(
    [...file.matchAll(/org\.opencontainers\.image\.([\w.]+)="(.*)"/g)].map(([, name, text]) => [name, text]),
  )
  const { version, license, description } = JSON.parse(read('package.json'))
  expect(labels).toMatchObject({ version, licenses: license, description: description.split(',')[0] })
  expect(Object.keys(labels)).toEqual(expect.arrayContaining(['title', 'source', 'revision', 'base.name']))
  expect(file.match(/^FROM (?!base).*/gm)).toHaveLength(2)
  expect(file.match(/^FROM \$\{NODE_IMAGE\}/gm)).toHaveLength(2)
  const [, image = ''] = /^ARG NODE_IMAGE=(\S+)$/m.exec(file) ?? []
  expect(image).toMatch(/^docker\.io\/library\/node:\d+\.\d+\.\d+-bookworm-slim(@sha256:[0-9a-f]{64})?$/)
})

test('the health check of the container tells a server that works from others', async () => {
  const check = async (port: number) => {
    const child = spawn(process.execPath, [join(root, 'deploy/healthcheck.mjs')], {
      env: { PORT: String(port) },
      stdio: 'ignore',
    })
    await once(child, 'close')
    return child.exitCode
  }
  await using healthy = await stranger(
    (request, response) => void response.writeHead(request.url === '/healthz' ? 200 : 404).end(),
  )
  await using sick = await stranger((_, response) => void response.writeHead(503).end())
  expect(await check(healthy.port)).toBe(0)
  expect(await check(sick.port)).toBe(1)
  await healthy[Symbol.asyncDispose]()
  expect(await check(healthy.port)).toBe(1)
})
