import { expect } from 'vitest'
import type { Config } from '../../src/config.ts'
import type { StartOptions } from '../../src/main.ts'
import type { MirrorSettings } from '../../src/mirror/open.ts'
import { secretKey, startFileServer } from './file-server.ts'
import { movedAccount } from './moving.ts'
import type { TestServer } from './server.ts'
import { startWall, type Wall } from './wall.ts'

type Body = Record<string, unknown>

/** The token of the account on this side: the hosted one has another. */
export const ownToken = 'f'.repeat(32)
export const hostedToken = '0123456789abcdef0123456789abcdef'

/** The environment of a mirror that is a process of its own, but for its database. */
export const mirrorEnv = {
  PARLEY_ADMIN_TOKEN: 'an-operator-token',
  PARLEY_SECRET_KEY: secretKey,
  PARLEY_ACCOUNT_SID: movedAccount,
  PARLEY_AUTH_TOKEN: ownToken,
  TWILIO_ACCOUNT_SID: movedAccount,
  TWILIO_AUTH_TOKEN: hostedToken,
  PARLEY_CONSOLE: 'false',
}

export interface Mirrored extends AsyncDisposable {
  readonly hosted: Awaited<ReturnType<typeof startFileServer>>
  readonly wall: Wall
  readonly mirror: Awaited<ReturnType<typeof startFileServer>>
}

export function mirrorSettings(url: string, settings: Partial<MirrorSettings> = {}): MirrorSettings {
  return {
    url,
    mediaUrl: url,
    username: movedAccount,
    password: hostedToken,
    account_sid: movedAccount,
    reads: 'hosted',
    perSecond: 1000,
    concurrency: 4,
    // The tests ask for passes themselves.
    passEveryMs: Number.MAX_SAFE_INTEGER / 4,
    timeoutMs: 30_000,
    eventsToken: hostedToken,
    ...settings,
  }
}

/** A server that follows another one, which stands for the hosted side, behind a wall. */
export async function startMirrored(
  settings: Partial<MirrorSettings> = {},
  config: Partial<Config> = {},
  options: Pick<StartOptions, 'log'> = {},
): Promise<Mirrored> {
  const account = { account_sid: movedAccount, secretKey }
  const hosted = await startFileServer({ ...account, auth_token: hostedToken })
  const wall = await startWall(hosted.url)
  const mirror = await startFileServer(
    { ...account, auth_token: ownToken, ...config },
    { ...options, mirror: mirrorSettings(wall.url, settings) },
  )
  await passed(mirror)
  return {
    hosted,
    wall,
    mirror,
    async [Symbol.asyncDispose]() {
      await mirror.stop()
      await wall[Symbol.asyncDispose]()
      await hosted.stop()
    },
  }
}

interface Status extends Body {
  readonly open_writes: number
  readonly to_read: number
  readonly failing: readonly unknown[]
  readonly job: string | null
  readonly job_error: string | null
  readonly report: { readonly count: number; readonly rows: number; readonly differences: readonly Body[] } | null
  readonly state: string
  readonly reads: {
    readonly compared: number
    readonly skipped: number
    readonly different: number
    readonly differences: readonly Body[]
  } | null
}

export const statusOf = (server: Pick<TestServer, 'admin'>): Promise<Status> => server.admin('GET', '/mirror')

/** Resolves when nothing is left to be read. */
export async function settled(server: Pick<TestServer, 'admin'>): Promise<void> {
  await expect.poll(async () => statusOf(server)).toMatchObject({ open_writes: 0, to_read: 0, failing: [] })
}

async function job(server: Pick<TestServer, 'admin'>, body: object): Promise<Status> {
  await server.admin('POST', '/mirror', body)
  await expect.poll(async () => (await statusOf(server)).job).toBe(null)
  return statusOf(server)
}

/** Has all lists gone through, and everything read that can have changed. */
export async function passed(server: Pick<TestServer, 'admin'>): Promise<void> {
  expect(await job(server, { job: 'pass' })).toMatchObject({ job_error: null })
  await settled(server)
}

export const compared = (server: Pick<TestServer, 'admin'>) => job(server, { job: 'compare' })
export const switched = (server: Pick<TestServer, 'admin'>, more: object = {}) => job(server, { job: 'switch', ...more })

/** Throws unless both sides show the same. */
export async function expectEqual(server: Pick<TestServer, 'admin'>): Promise<void> {
  const { report, job_error } = await compared(server)
  expect([job_error, report?.differences]).toEqual([null, []])
}
