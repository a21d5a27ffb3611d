import { once } from 'node:events'
import { createServer as createHttp } from 'node:http'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createTransport } from 'nodemailer'
import { SMTPServer } from 'smtp-server'
import { median } from '../reports/figures.ts'
import { heading, table } from '../reports/report.ts'
import type { Options } from './options.ts'
import { call, type Parley, startParley } from './parley.ts'
import type { Sink } from './sink.ts'

const box = 'support@example.com'
const connections = 8
const MiB = 1024 * 1024

/** Measures mail: in by SMTP, out through a relay, the time until a webhook, and the memory of a large mail. Has no goals. */
export async function mailPart(sink: Sink, options: Options, folder: string): Promise<void> {
  const mails = Math.max(100, 2000 * options.scale)
  await using relay = await countingRelay()
  await using hook = await countingHook()
  const port = await freePort()
  const settings = { PARLEY_MAIL_LISTEN: `127.0.0.1:${port}`, PARLEY_MAIL_RELAY: `smtp://127.0.0.1:${relay.port}` }
  const parley = await startParley({
    path: `${folder}/mail.db`,
    rows: 1,
    sink,
    profile: options.profile,
    settings,
    flags: ['--expose-gc'],
  })
  const http = parley.ports[0]
  const form = (given: Readonly<Record<string, string>>) => new URLSearchParams(given).toString()
  const opening = { Type: 'email', Address: box, 'AutoCreation.Enabled': 'true', 'AutoCreation.Type': 'default' }
  await call(http, '/v1/Configuration/Addresses', form(opening))
  const world = createTransport({
    host: '127.0.0.1',
    port,
    ignoreTLS: true,
    pool: true,
    maxConnections: connections,
    maxMessages: Number.POSITIVE_INFINITY,
  })
  const send = (from: string, to: string, body: string) =>
    world.sendMail({
      envelope: { from, to: [to] },
      raw: `From: ${from}\r\nTo: ${to}\r\nSubject: Bench\r\nMessage-ID: <${from}-${body.length}-${Math.random()}@x>\r\n\r\n${body}\r\n`,
    })
  const text = 'A line of a mail that somebody may have written.\r\n'.repeat(200)
  const people = Array.from({ length: mails }, (_, i) => `person${i}@example.org`)
  await Promise.all(people.slice(0, 50).map((from) => send(`warm-${from}`, box, text)))

  const rows = [
    await measured('in: 10 KB, each opens a conversation', parley, mails, async () => {
      await Promise.all(people.map((from) => send(from, box, text)))
    }),
    await measured('in: 10 KB, each joins one', parley, mails, async () => {
      await Promise.all(people.map((from) => send(from, box, text)))
    }),
    await measured('out: 10 KB, to one recipient each', parley, mails, async () => {
      const { conversations } = await call<{ conversations: { sid: string }[] }>(http, '/v1/Conversations?PageSize=1000')
      const sids = conversations.map(({ sid }) => sid)
      const body = form({ Author: 'agent', Body: text })
      const arrived = relay.until(mails)
      for (let i = 0; i < mails; i += 64) {
        const some = Array.from({ length: Math.min(64, mails - i) }, (_, n) => sids[(i + n) % sids.length])
        await Promise.all(some.map((sid) => call(http, `/v1/Conversations/${sid}/Messages`, body)))
      }
      await arrived
    }),
  ]
  await call(
    http,
    '/v1/Configuration/Webhooks',
    form({ PostWebhookUrl: `http://127.0.0.1:${hook.port}/`, Filters: 'onMessageAdded' }),
  )
  const latencies: number[] = []
  for (let i = 0; i < Math.max(20, 200 * options.scale); i++) {
    const told = hook.next()
    const sentMs = performance.now()
    await send(people[i % people.length] ?? '', box, 'Short')
    latencies.push((await told) - sentMs)
  }
  const large = await largeMail(parley, (raw) => world.sendMail({ envelope: { from: 'large@example.org', to: [box] }, raw }))
  world.close()
  await parley.stop()
  console.log(heading(`Mail: ${mails} mails over ${connections} connections`))
  console.log(table(['mails', 'per s', 'CPU ms each'], rows))
  console.log(`DATA to onMessageAdded at its receiver, one at a time: p50 ${median(latencies).toFixed(1)} ms`)
  console.log(
    `A mail of 19 MB: ${large.seconds.toFixed(1)} s, memory ${large.beforeMb} MB before, ${large.peakMb} MB at its peak`,
  )
}

async function measured(
  name: string,
  parley: Parley,
  count: number,
  work: () => Promise<void>,
): Promise<[string, number, number]> {
  const before = await parley.usage()
  const startMs = performance.now()
  await work()
  const seconds = (performance.now() - startMs) / 1000
  const { all_us } = await parley.usage()
  return [name, count / seconds, (all_us - before.all_us) / 1000 / count]
}

async function largeMail(parley: Parley, send: (raw: string) => Promise<unknown>) {
  const photo = Buffer.alloc(14 * MiB, 'a photo')
    .toString('base64')
    .replace(/.{76}/g, '$&\r\n')
  const raw = `From: large@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nA photo\r\n--b\r\nContent-Type: image/jpeg; name=p.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n${photo}\r\n--b--\r\n`
  const { bytes: before } = await parley.memory()
  let peak = before
  const startMs = performance.now()
  let over = false
  const sending = send(raw).finally(() => {
    over = true
  })
  while (!over) {
    peak = Math.max(peak, (await parley.memory()).bytes)
    await delay(50)
  }
  await sending
  return { seconds: (performance.now() - startMs) / 1000, beforeMb: Math.round(before / MiB), peakMb: Math.round(peak / MiB) }
}

/** A next hop that takes every mail and forgets it. */
async function countingRelay() {
  let count = 0
  let wanted = Number.POSITIVE_INFINITY
  let reached = () => {}
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    logger: false,
    onData(stream, _session, done) {
      stream.resume().on('end', () => {
        done(null)
        if (++count >= wanted) reached()
      })
    },
  })
  const listening = server.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  return {
    port: portOf(listening.address()),
    until: (more: number) =>
      new Promise<void>((resolve) => {
        wanted = count + more
        reached = resolve
      }),
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}

async function countingHook() {
  let told = (_ms: number) => {}
  const server = createHttp((request, response) => {
    request.resume()
    told(performance.now())
    response.end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: portOf(server.address()),
    next: () =>
      new Promise<number>((resolve) => {
        told = resolve
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const port = portOf(server.address())
  server.close()
  return port
}

function portOf(address: ReturnType<ReturnType<typeof createServer>['address']>): number {
  if (address === null || typeof address === 'string') throw new Error('not a TCP port')
  return address.port
}
