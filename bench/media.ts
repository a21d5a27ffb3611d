/**
 * Measures uploads and downloads of media with the folder and with a bucket, and the memory of the server: `node bench/media.ts`. The
 * bucket is one of the S3 server of the tests, on this machine, so that it takes a part of the processor.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'undici'
import { folder, serve } from '../test/support/process.ts'
import { startS3 } from '../test/support/s3.ts'

const token = '0'.repeat(32)
const account = `AC${token}`
const authorization = `Basic ${Buffer.from(`${account}:${token}`).toString('base64')}`
const dispatcher = new Agent({ bodyTimeout: 0, headersTimeout: 0 })

const loads = [
  { name: '40 files of 50 MiB, 4 at once', bytes: 50 * 1024 * 1024, files: 40, atOnce: 4 },
  { name: '2,000 files of 20 KiB, 16 at once', bytes: 20 * 1024, files: 2000, atOnce: 16 },
]

/** Does work so many times, some at once. Returns how long it took, in s. */
async function timed(count: number, atOnce: number, work: (i: number) => Promise<void>): Promise<number> {
  const began = performance.now()
  let next = 0
  const lane = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return (performance.now() - began) / 1000
}

/** The most memory that a process has had, in MB. */
function peak(pid: number): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1000)
}

async function measure(where: string, settingsOf: (load: number) => Readonly<Record<string, string>>): Promise<void> {
  for (const [load, { name, bytes, files, atOnce }] of loads.entries()) {
    using place = folder()
    const env = {
      ...{ PARLEY_ACCOUNT_SID: account, PARLEY_AUTH_TOKEN: token, PARLEY_LOG_LEVEL: 'error', ...settingsOf(load) },
      ...{ PARLEY_DATABASE_URL: `sqlite:${place.file('parley.db')}`, PARLEY_MAX_CONCURRENT_REQUESTS: '0' },
    }
    await using server = await serve({ env })
    const { url, pid } = server
    const configuration = await request(`${url}/v1/Configuration`, { headers: { authorization } })
    const { default_chat_service_sid } = (await configuration.body.json()) as { default_chat_service_sid: string }
    const media = `${url}/v1/Services/${default_chat_service_sid}/Media`
    const sids: string[] = []
    const start = peak(pid)
    const body = randomBytes(bytes)
    const up = await timed(files, atOnce, async (i) => {
      // Else they would be one content.
      const own = Buffer.from(body)
      own.writeUInt32BE(i)
      const answer = await request(media, { method: 'POST', body: own, headers: { authorization }, dispatcher })
      sids.push(((await answer.body.json()) as { sid: string }).sid)
    })
    const down = await timed(files, atOnce, async (i) => {
      const answer = await request(`${media}/${sids[i]}/Content`, { headers: { authorization }, dispatcher })
      await answer.body.dump({ limit: bytes + 1 })
    })
    const rate = (seconds: number) => `${Math.round(files / seconds)}/s, ${Math.round((files * bytes) / seconds / 1e6)} MB/s`
    console.log(`${where}: ${name}: up ${rate(up)}; down ${rate(down)}; memory ${start} MB, at most ${peak(pid)} MB`)
  }
}

await measure('folder', () => ({}))
await using s3 = await startS3()
const bucket = s3.bucket('media')
// A prefix belongs to one installation.
await measure('bucket', (load) => ({ ...bucket.settings(`load-${load}`) }))
