import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { MailListener } from '../../src/channels/email/listener.ts'
import { refuse } from '../../src/errors.ts'
import { outside } from './outside.ts'

/** A listener whose database does as it is told. */
async function listening(behaviour: { knows?: () => Promise<boolean>; take?: () => Promise<void> }) {
  const failures: unknown[] = []
  const listener = await MailListener.open({
    ...{ host: '127.0.0.1', port: 0, anyPort: false, tls: null, maxBytes: 100_000 },
    knows: behaviour.knows ?? (async () => true),
    take: behaviour.take ?? (async () => {}),
    failed: (error) => failures.push(error),
  })
  return { port: listener.port, failures, [Symbol.asyncDispose]: () => listener.close() }
}

const reply = (port: number) => {
  const world = outside(port)
  return world
    .send({ to: 'a@example.com' })
    .then(
      (response) => response,
      (error: Error & { response?: string }) => error.response ?? error.message,
    )
    .finally(() => world.close())
}

describe('while the database is away the other server keeps the mail', () => {
  test('at RCPT', async () => {
    await using at = await listening({ knows: () => Promise.reject(refuse('unavailable')) })
    expect(await reply(at.port)).toMatch(/^451 4\.3\.0/)
  })

  test('at DATA, until it is back', async () => {
    let away = true
    await using at = await listening({
      take: async () => {
        if (away) throw refuse('unavailable')
      },
    })
    expect(await reply(at.port)).toMatch(/^451 4\.3\.0/)
    away = false
    expect(await reply(at.port)).toMatch(/^250 /)
  })

  test('250 comes once the mail is on disk, not before', async () => {
    const written = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    await using at = await listening({
      take: () => {
        begun.resolve()
        return written.promise
      },
    })
    let replied = false
    const replying = reply(at.port).then((text) => {
      replied = true
      return text
    })
    await begun.promise
    expect(replied).toBe(false)
    written.resolve()
    expect(await replying).toMatch(/^250 /)
  })

  test('a defect is temporary as well, and reported', async () => {
    await using at = await listening({ take: () => Promise.reject(new TypeError('a defect')) })
    expect(await reply(at.port)).toMatch(/^451 /)
    expect(at.failures).toEqual([expect.any(TypeError)])
  })
})

test('what is no SMTP gets an error, and no more than its share of time', async () => {
  await using at = await listening({})
  const socket = connect(at.port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  await expect.poll(() => text).toMatch(/^220 /)
  socket.write(`${'\0'.repeat(100)}\r\nGET / HTTP/1.1\r\n\r\nMAIL FROM:<${'a'.repeat(2000)}@b.cd>\r\nDATA\r\n`)
  await expect.poll(() => text.split('\r\n').length).toBeGreaterThan(3)
  expect(text).toMatch(/^50\d /m)
  expect(text).not.toMatch(/ at .*\.(?:ts|js)/)
  socket.destroy()
})
