import { readdirSync } from 'node:fs'
import { request } from 'undici'
import { expect } from 'vitest'
import { consoleFolder } from '../../src/package.ts'
import { freshConsole } from '../support/console.ts'
import { testOn } from '../support/fixtures.ts'
import { startServer } from '../support/server.ts'

const test = testOn(async () => {
  await freshConsole()
  return startServer()
})

async function get(server: { readonly url: string }, path: string, headers: Record<string, string> = {}, method = 'GET') {
  const { statusCode, headers: sent, body } = await request(server.url + path, { method: method as 'GET', headers })
  return { status: statusCode, headers: sent, bytes: Buffer.from(await body.arrayBuffer()) }
}

test('every path of the console is one page, which runs and loads what this server serves and nothing else', async ({
  server,
}) => {
  for (const path of [
    '/console',
    '/console/',
    '/console/services/IS0/conversations?state=closed',
    '/console/%00',
    '/console/a%2Fb',
  ]) {
    const { status, headers, bytes } = await get(server, path)
    expect(status, path).toBe(200)
    expect(headers['content-type']).toBe('text/html; charset=utf-8')
    expect(headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
    expect(headers['content-security-policy']).not.toMatch(/unsafe|data:|https?:/)
    expect(bytes.toString()).toContain('<div id="root">')
    expect(bytes.toString()).not.toMatch(/<style|<script>|https?:/)
  }
})

test('files are compressed once and kept by browsers, and nothing beside them is served', async ({ server }) => {
  const names = readdirSync(new URL('assets/', consoleFolder())).filter((name) => /\.(js|css|svg)$/.test(name))
  expect(names.length).toBeGreaterThanOrEqual(3)
  for (const name of names) {
    const plain = await get(server, `/console/assets/${name}`)
    expect(plain.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    expect(plain.headers['content-encoding']).toBeUndefined()
    for (const [accepted, coding] of [
      ['gzip, deflate, br, zstd', 'br'],
      ['gzip', 'gzip'],
      ['br;q=0, gzip;q=0.5', 'gzip'],
      ['identity', undefined],
    ] as const) {
      const { status, headers, bytes } = await get(server, `/console/assets/${name}`, { 'accept-encoding': accepted })
      expect([status, headers['content-encoding'], headers.vary]).toEqual([200, coding, 'accept-encoding'])
      expect(bytes.length).toBe(Number(headers['content-length']))
    }
  }
  for (const name of [
    'none.js',
    '..%2findex.html',
    '..%2f..%2fcli%2fprogram.cjs',
    '%00.js',
    `${names[0]}.br`,
    `${names[0]}.map`,
  ]) {
    expect((await get(server, `/console/assets/${name}`)).status, name).toBe(404)
  }
})

test('/ leads browsers to the console, and programs nowhere', async ({ server }) => {
  const browser = await get(server, '/', { accept: 'text/html,application/xhtml+xml' })
  expect([browser.status, browser.headers.location]).toEqual([302, '/console'])
  for (const accept of ['*/*', 'application/json']) {
    const { status, bytes } = await get(server, '/', { accept })
    expect(status).toBe(200)
    expect(bytes.toString()).toContain('Parley is running')
  }
  expect((await get(server, '/console', {}, 'POST')).status).toBe(404)
})

test('PARLEY_CONSOLE=false takes it away', async () => {
  await using server = await startServer({ console: false })
  expect((await get(server, '/console')).status).toBe(404)
  expect((await get(server, '/', { accept: 'text/html' })).bytes.toString()).toContain('Parley is running')
})
