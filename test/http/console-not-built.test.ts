import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fastify from 'fastify'
import { expect, test } from 'vitest'
import { consoleRoutes } from '../../src/console/routes.ts'

test('a server without the built console says how to build it, and serves what is there, also a newer one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-console-'))
  await using server = fastify()
  await server.register(consoleRoutes({ folder: pathToFileURL(`${folder}/`) }))
  const missing = await server.inject('/console/clock')
  expect(missing.statusCode).toBe(404)
  expect(missing.body).toContain('npm run build:console')
  expect((await server.inject('/console/assets/index.js')).statusCode).not.toBe(200)
  mkdirSync(join(folder, 'assets'))
  writeFileSync(join(folder, 'assets/index.js'), 'built')
  writeFileSync(join(folder, 'index.html'), 'page')
  expect((await server.inject('/console/clock')).body).toBe('page')
  expect((await server.inject('/console/assets/index.js')).body).toBe('built')
  writeFileSync(join(folder, 'index.html'), 'newer page')
  rmSync(join(folder, 'assets/index.js'))
  expect((await server.inject('/console')).body).toBe('newer page')
  expect((await server.inject('/console/assets/index.js')).statusCode).not.toBe(200)
  rmSync(folder, { recursive: true })
})
