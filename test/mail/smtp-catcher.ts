import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'
import { type ParsedMail, parseMail } from '../../src/channels/email/parse.ts'

/** A mail as a mail server of the outside world has received it. */
export interface Caught {
  readonly from: string
  readonly to: readonly string[]
  readonly raw: Buffer
  readonly mail: ParsedMail
}

export interface SmtpCatcher {
  readonly url: string
  /** Those that have been taken and not yet been given by `next`. */
  readonly waiting: readonly Caught[]
  /** Resolves with the next mail, in the order in which they were taken. */
  next(): Promise<Caught>
  /** How the next attempts to a recipient are answered; the last answer stays. A null takes the mail. */
  answer(recipient: string, ...replies: ({ readonly code: number; readonly text: string } | null)[]): void
  readonly attempts: number
  close(): Promise<void>
}

/** The next hop: takes every mail unless told otherwise. */
export async function catchMail(): Promise<SmtpCatcher> {
  const waiting: Caught[] = []
  const asked: ((caught: Caught) => void)[] = []
  const answers = new Map<string, ({ code: number; text: string } | null)[]>()
  let attempts = 0
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    logger: false,
    onRcptTo({ address }, _session, done) {
      attempts++
      const replies = answers.get(address.toLowerCase())
      const reply = replies && replies.length > 1 ? replies.shift() : replies?.[0]
      done(reply ? Object.assign(new Error(reply.text), { responseCode: reply.code }) : null)
    },
    onData(stream, { envelope }, done) {
      buffer(stream)
        .then(async (raw) => {
          const from = envelope.mailFrom ? envelope.mailFrom.address : ''
          const caught = { from, to: envelope.rcptTo.map(({ address }) => address), raw, mail: await parseMail(raw) }
          const next = asked.shift()
          if (next) next(caught)
          else waiting.push(caught)
          done(null, `Ok: queued as ${attempts}`)
        })
        .catch(done)
    },
  })
  const listening = server.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const { port } = listening.address() as AddressInfo
  return {
    url: `smtp://127.0.0.1:${port}`,
    waiting,
    next: async () => waiting.shift() ?? new Promise((resolve) => asked.push(resolve)),
    answer: (recipient, ...replies) => void answers.set(recipient.toLowerCase(), replies),
    get attempts() {
      return attempts
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
