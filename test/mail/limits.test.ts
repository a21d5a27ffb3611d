import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Intake, sourceOf } from '../../src/channels/email/intake.ts'
import { type ListenerOptions, MailListener } from '../../src/channels/email/listener.ts'
import { outside } from './outside.ts'

/** A listener to which all clients are of one remote network. */
async function listening(options: Partial<ListenerOptions>) {
  const listener = await MailListener.open({
    ...{ host: '127.0.0.1', port: 0, anyPort: false, tls: null, maxBytes: 1_000_000 },
    knows: async () => true,
    take: async () => {},
    failed: (error) => expect.unreachable(String(error)),
    sourceOf: () => 'remote',
    ...options,
  })
  return { port: listener.port, [Symbol.asyncDispose]: () => listener.close() }
}

/** Somebody who types SMTP. */
function client(port: number) {
  const socket: Socket = connect(port, '127.0.0.1')
  let text = ''
  let seen = 0
  const more: (() => void)[] = []
  const wake = () => {
    for (const one of more.splice(0)) one()
  }
  socket.on('data', (chunk) => {
    text += chunk
    wake()
  })
  socket.on('close', wake)
  socket.on('error', () => {})
  return {
    socket,
    /** Waits for the next line that is the last one of a reply. */
    async reply(): Promise<string> {
      for (;;) {
        const found = /^\d{3} .*\r\n/m.exec(text.slice(seen))
        if (found) {
          seen += found.index + found[0].length
          return found[0].trim()
        }
        if (socket.destroyed) return 'closed'
        await new Promise<void>((resolve) => more.push(resolve))
      }
    },
    async says(line: string): Promise<string> {
      socket.write(`${line}\r\n`)
      return this.reply()
    },
    /** Begins a mail. */
    async data(): Promise<void> {
      expect(await this.reply()).toMatch(/^220 /)
      for (const line of ['EHLO slow.example', 'MAIL FROM:<ann@example.org>', 'RCPT TO:<a@example.com>']) {
        expect(await this.says(line)).toMatch(/^250 /)
      }
      expect(await this.says('DATA')).toMatch(/^354 /)
    },
  }
}

test('of one network no more than some connections are admitted, until one of them ends', async () => {
  await using at = await listening({ limits: { connections: 2 } })
  const [first, second] = [client(at.port), client(at.port)]
  expect([await first.reply(), await second.reply()]).toEqual([expect.stringMatching(/^220/), expect.stringMatching(/^220/)])
  const third = client(at.port)
  expect(await third.reply()).toMatch(/^421 4\.7\.0 .*connections/)
  first.socket.destroy()
  const replyOfNext = async () => {
    const next = client(at.port)
    const reply = await next.reply()
    next.socket.destroy()
    return reply
  }
  await expect.poll(replyOfNext).toMatch(/^220/)
  for (const { socket } of [second, third]) socket.destroy()
})

test('clients of the network of the operator are not limited', async () => {
  await using at = await listening({ limits: { connections: 1 }, sourceOf })
  const clients = Array.from({ length: 5 }, () => client(at.port))
  for (const one of clients) expect(await one.reply()).toMatch(/^220/)
  for (const { socket } of clients) socket.destroy()
})

describe('a mail that does not come in time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true })
  })
  afterEach(() => {
    vi.useRealTimers()
  })
  const most = 600_000

  test('ends the connection, however often something of it comes', async () => {
    await using at = await listening({})
    const slow = client(at.port)
    await slow.data()
    for (let i = 0; i < 10; i++) {
      slow.socket.write('a')
      vi.advanceTimersByTime(most / 10)
    }
    expect(await slow.reply()).toMatch(/^421 4\.4\.2 /)
    slow.socket.destroy()
  })

  test('neither do commands help', async () => {
    await using at = await listening({})
    const idle = client(at.port)
    expect(await idle.reply()).toMatch(/^220/)
    vi.advanceTimersByTime(most / 2)
    expect(await idle.says('NOOP')).toMatch(/^250/)
    vi.advanceTimersByTime(most / 2)
    expect(await idle.reply()).toMatch(/^421 4\.4\.2 /)
    idle.socket.destroy()
  })

  test('the time in which it is taken does not count, and the next mail has its own', async () => {
    const begun = Promise.withResolvers<void>()
    const written = Promise.withResolvers<void>()
    await using at = await listening({
      take: () => {
        begun.resolve()
        return written.promise
      },
    })
    const patient = client(at.port)
    await patient.data()
    patient.socket.write('Subject: x\r\n\r\nx\r\n.\r\n')
    await begun.promise
    vi.advanceTimersByTime(2 * most)
    written.resolve()
    expect(await patient.reply()).toMatch(/^250 /)
    vi.advanceTimersByTime(most / 2)
    expect(await patient.says('NOOP')).toMatch(/^250/)
    vi.advanceTimersByTime(most)
    expect(await patient.reply()).toMatch(/^421 4\.4\.2 /)
    patient.socket.destroy()
  })
})

test('for more mails at a time than there is room for clients are told to come back', async () => {
  let begun = Promise.withResolvers<void>()
  const written = Promise.withResolvers<void>()
  await using at = await listening({
    limits: { bytes: 300_000 },
    sourceOf: () => null,
    take: () => {
      begun.resolve()
      return written.promise
    },
  })
  const world = outside(at.port)
  const others = outside(at.port)
  const text = 'a'.repeat(70).concat('\n').repeat(2500)
  const taking = world.send({ to: 'a@example.com', text })
  await begun.promise
  await expect(others.send({ to: 'a@example.com', text })).rejects.toThrow(/451 4\.3\.1/)
  begun = Promise.withResolvers<void>()
  const small = others.send({ to: 'a@example.com' })
  await begun.promise
  written.resolve()
  expect([await taking, await small]).toEqual([expect.stringMatching(/^250/), expect.stringMatching(/^250/)])
  // What was taken has given its room back.
  expect(await others.send({ to: 'a@example.com', text })).toMatch(/^250/)
  world.close()
  others.close()
})

describe('one network', () => {
  test('has half of the room, and gives it back', () => {
    const intake = new Intake({ connections: 1, bytes: 10_000 })
    const mail = intake.mail('one')
    expect([mail.hold(4000), mail.hold(4000)]).toEqual([true, false])
    const second = intake.mail('one')
    expect(second.hold(4000)).toBe(false)
    expect(intake.mail('two').hold(4000)).toBe(true)
    mail.release()
    mail.release()
    expect(second.hold(4000)).toBe(true)
  })

  test('is an address, or the /64 of one; those of the operator are none', () => {
    expect(
      ['203.0.113.7', '::ffff:203.0.113.7', '2001:470:1:2::5', '2001:470:1:2:aa:bb:cc:dd', '2001:470:1:3::5'].map(sourceOf),
    ).toEqual(['203.0.113.7', '203.0.113.7', '32.1.4.112.0.1.0.2', '32.1.4.112.0.1.0.2', '32.1.4.112.0.1.0.3'])
    expect(['127.0.0.1', '::1', '10.1.2.3', '172.17.0.1', '192.168.1.1', 'fd00::1', 'fe80::1'].map(sourceOf)).toEqual(
      Array.from({ length: 7 }, () => null),
    )
    expect(sourceOf('unknown')).toBe('unknown')
  })
})
