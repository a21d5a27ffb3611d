import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { expect, onTestFinished, test, vi } from 'vitest'
import { folder } from '../../support/process.ts'
import { startServer } from '../../support/server.ts'

const older = new URL('older/', import.meta.url)
/** Schemas of which a database is kept: the file as that version left it, and what it answered. */
const versions = readdirSync(older).flatMap((name) => (name.endsWith('.json') ? [name.replace('.json', '')] : []))

interface Kept {
  readonly bodies: Readonly<Record<string, unknown>>
}

/** A server of this version on a database file that an older one has made. */
async function opened(version: string) {
  const text = readFileSync(new URL(`${version}.json`, older), 'utf8')
  // When the file was made: its deadlines are still to come, and nothing in it is old enough to be cleaned up.
  const now = Math.max(...[...text.matchAll(/"date_created": ?"([^"]+)"/g)].map(([, date]) => Date.parse(date ?? '')))
  vi.useFakeTimers({ toFake: ['Date'], now })
  const place = folder()
  const file = place.file('parley.db')
  writeFileSync(file, gunzipSync(readFileSync(new URL(`${version}.db.gz`, older))))
  const server = await startServer({ database: { engine: 'sqlite', file }, secretKey: '0'.repeat(64) })
  onTestFinished(async () => {
    await server.stop()
    place[Symbol.dispose]()
    vi.useRealTimers()
  })
  const kept = JSON.parse(text.replaceAll('{url}', server.url)) as Kept
  return { server, kept }
}

test.each(versions)('a database of schema %s is opened, and everything in it is as it was', async (version) => {
  const { server, kept } = await opened(version)
  const paths = Object.keys(kept.bodies)
  expect(paths.length).toBeGreaterThan(20)
  for (const path of paths) expect((await server.call('GET', path)).body, path).toEqual(kept.bodies[path])
})

test.each(versions)('deadlines of a database of schema %s go on running', async (version) => {
  const { server } = await opened(version)
  await server.advance('PT2H')
  expect((await server.call('GET', '/v1/Conversations/due')).body.state).toBe('inactive')
  expect((await server.call('GET', '/v1/Conversations/order-1')).body.state).toBe('inactive')
})

test('deliveries made before they had a kind have one', async () => {
  const { server } = await opened('0001-first')
  const { deliveries } = await server.admin('GET', '/deliveries?limit=1000')
  const byKind = Object.groupBy(deliveries as { kind: string }[], ({ kind }) => kind)
  expect(byKind.message).toHaveLength(6)
  expect(byKind.loopback).toHaveLength(6)
  for (const delivery of [...(byKind.message ?? []), ...(byKind.loopback ?? [])]) {
    expect(delivery).toMatchObject({ event_type: 'channelMessage' })
    const { params, message_sid, participant_sid } = delivery as unknown as Record<string, Record<string, string>>
    expect([message_sid, participant_sid]).toEqual([params?.MessageSid, params?.ParticipantSid])
  }
  for (const delivery of byKind.webhook ?? []) expect(delivery).toMatchObject({ message_sid: null, participant_sid: null })
  const [loopback] = byKind.loopback as unknown as { id: string }[]
  expect(loopback).toMatchObject({ target_sid: null, url: null, status: 'delivered' })
  expect(await server.admin('POST', `/deliveries/${loopback?.id}/redeliver`)).toMatchObject({ kind: 'loopback' })
})
