import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { findServer } from '../../src/cli/server.ts'
import { type Config, readConfig } from '../../src/config.ts'
import { adminToken, startServer } from '../support/server.ts'
import { stranger } from '../support/stranger.ts'

const secretKey = '5'.repeat(64)

/** The settings of the command line. */
function settingsFor({ url }: { readonly url: string }, more: Partial<Config> = {}): Config {
  const { hostname, port } = new URL(url)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  return { ...readConfig({ PARLEY_DATABASE_URL: 'sqlite::memory:' }), host, port: Number(port), adminToken, secretKey, ...more }
}

const at = (port: number) => ({ url: `http://127.0.0.1:${port}` })

test.each<[string, (request: IncomingMessage, response: ServerResponse) => unknown]>([
  ['a page', (_, response) => response.end('<h1>It works!</h1>')],
  ['null', (_, response) => response.end('null')],
  ['an account list', (_, response) => response.end('{"accounts":[]}')],
  ['a forged proof', (_, response) => response.end(JSON.stringify({ proof: '0'.repeat(64) }))],
  ['a proof of another type', (_, response) => response.end('{"proof":[1]}')],
  ['a redirect', (_, response) => response.writeHead(302, { location: 'http://192.0.2.1/' }).end()],
  ['nothing', (asked) => asked.socket.destroy()],
  ['without end', (_, response) => response.write('x'.repeat(100_000))],
])('what answers %s is not sent the operator token', async (_, answer) => {
  await using other = await stranger(answer)
  expect(await findServer(settingsFor(at(other.port)))).toEqual({
    call: null,
    reason: expect.stringMatching(/does not prove to be its server, so that it was not sent the operator token$/),
  })
  expect(other.asked()).toBe(1)
  expect(other.tokens()).toEqual([])
})

test('what passes the challenge on to the server is not sent the token either', async () => {
  await using server = await startServer({ secretKey })
  await using relay = await stranger(async (asked, response) => {
    response.end(await (await fetch(`${server.url}${asked.url}`)).text())
  })
  expect(await findServer(settingsFor(at(relay.port)))).toMatchObject({ call: null })
  expect(relay.asked()).toBe(1)
  expect(relay.tokens()).toEqual([])
})

test('a server of another installation is not sent the token', async () => {
  await using server = await startServer({ secretKey: '6'.repeat(64) })
  expect(await findServer(settingsFor(server))).toMatchObject({ call: null })
})

test.each(['127.0.0.1', '::1', '::', 'localhost'])('the server that listens on %s is found', async (host) => {
  await using server = await startServer({ secretKey, host })
  const { call } = await findServer(settingsFor(server, { host }))
  expect(await call?.('GET', '/accounts')).toMatchObject({ accounts: [{ sid: server.account_sid }] })
})

test('so is one whose database is in memory, by the token', async () => {
  const database = { engine: 'sqlite', file: ':memory:' } as const
  await using server = await startServer({ database, dataDir: null, secretKey: null })
  const { call } = await findServer(settingsFor(server, { secretKey: null }))
  expect(await call?.('GET', '/accounts')).toMatchObject({ accounts: [{ sid: server.account_sid }] })
  expect(await findServer(settingsFor(server, { secretKey: null, adminToken: 'not-of-the-operator' }))).toMatchObject({
    call: null,
  })
})

test('nobody listens: it says so', async () => {
  const { port, [Symbol.asyncDispose]: close } = await stranger(() => {})
  await close()
  expect(await findServer(settingsFor(at(port)))).toEqual({ call: null, reason: `no server listens on 127.0.0.1:${port}` })
})

test('a wrong token is said to be wrong', async () => {
  await using server = await startServer({ secretKey })
  const { call } = await findServer(settingsFor(server, { adminToken: 'not-of-the-operator' }))
  await expect(call?.('GET', '/accounts')).rejects.toThrow('the operator token is missing or wrong')
})

test('a proof is for one nonce, and none is needed to ask for it', async () => {
  await using server = await startServer({ secretKey })
  const prove = async (nonce: string) => {
    const response = await fetch(`${server.url}/admin/v1/identity?nonce=${nonce}`)
    return [response.status, await response.json()]
  }
  const proof = { proof: expect.stringMatching(/^[0-9a-f]{64}$/) }
  expect(await prove('0'.repeat(64))).toEqual([200, proof])
  expect(await prove('0'.repeat(64))).toEqual(await prove('0'.repeat(64)))
  expect(await prove('0'.repeat(64))).not.toEqual(await prove('1'.repeat(64)))
})
