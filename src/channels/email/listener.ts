import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { SMTPServer, type SMTPServerAddress, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server'
import { codeOf } from '../../errors.ts'
import { type HeldMail, Intake, type IntakeLimits, sourceOf } from './intake.ts'
import { MailError, type RawMail } from './take.ts'

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  /** Whether another port may be taken when this one is in use. */
  readonly anyPort: boolean
  /** PEM files for STARTTLS; null: it is not offered. */
  readonly tls: { readonly cert: string; readonly key: string } | null
  readonly maxBytes: number
  /** Whether mail to an address is taken here. */
  readonly knows: (address: string) => Promise<boolean>
  /** Throws MailError. */
  readonly take: (mail: RawMail, session: { readonly ip: string; readonly helo: string }) => Promise<unknown>
  /** Called with an error that is a defect. */
  readonly failed: (error: unknown) => void
  /** Other limits than those of a server. */
  readonly limits?: Partial<ListenerLimits>
  /** For tests, all of whose clients have one address: the network that a client counts to; null is not limited. */
  readonly sourceOf?: (address: string) => string | null
}

export interface ListenerLimits extends IntakeLimits {
  /** For one mail, from the connection or the mail before it to its last byte. */
  readonly mailTimeoutMs: number
}

/** Connections at a time; further ones are told to come back. */
const maxClients = 100
/** Recipients of one mail. */
const maxRecipients = 100
const silenceTimeoutMs = 60_000
const closeTimeoutMs = 5000
const limits = { connections: 10, bytes: 256 * 1024 * 1024, mailTimeoutMs: 600_000 } as const satisfies ListenerLimits
/** Mails of the largest size for which there is room at a time, at least. */
const minMails = 4

/** A client that has been admitted. */
interface Client {
  readonly source: string | null
  /** Ends the connection when no mail has come in time. */
  deadline: NodeJS.Timeout | undefined
}

/** Receives mail by SMTP, for the mailboxes here and no others: it is never a relay. */
export class MailListener {
  readonly #options: ListenerOptions
  readonly #server: SMTPServer
  readonly #limits: ListenerLimits
  readonly #intake: Intake
  /** By the id of their sessions. */
  readonly #clients = new Map<string, Client>()

  private constructor(options: ListenerOptions, tls: { cert: Buffer; key: Buffer } | null) {
    this.#options = options
    this.#limits = { ...limits, bytes: Math.max(limits.bytes, minMails * options.maxBytes), ...options.limits }
    this.#intake = new Intake(this.#limits)
    const starttls = tls ? [] : ['STARTTLS']
    this.#server = new SMTPServer({
      name: 'parley',
      banner: 'Parley',
      logger: false,
      // Whoever has mail for a mailbox here may deliver it; there is nothing to log in for.
      disabledCommands: ['AUTH', ...starttls],
      authOptional: true,
      disableReverseLookup: true,
      size: options.maxBytes,
      maxClients,
      socketTimeout: silenceTimeoutMs,
      closeTimeout: closeTimeoutMs,
      ...tls,
      onConnect: (session, done) => settle(this.#connected(session), done),
      onClose: ({ id }) => this.#closed(id),
      onRcptTo: (address, session, done) => settle(this.#recipient(address, session), done),
      onData: (stream, session, done) => settle(this.#mail(stream, session), done),
    })
    // A connection that breaks is the other side's concern; that it cannot listen is thrown by `open`.
    this.#server.on('error', () => {})
  }

  /** Throws when the port is in use or a file cannot be read. */
  static async open(options: ListenerOptions): Promise<MailListener> {
    const { tls, anyPort } = options
    const files = tls && { cert: await readFile(tls.cert), key: await readFile(tls.key) }
    try {
      return await new MailListener(options, files).#listen(options.port)
    } catch (error) {
      if (!anyPort || codeOf(error) !== 'EADDRINUSE') throw error
      return new MailListener(options, files).#listen(0)
    }
  }

  get port(): number {
    const address = this.#server.server.address()
    return isTcp(address) ? address.port : 0
  }

  /** Takes no new connections; resolves when those that are open have ended, or a moment later. */
  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  async #listen(port: number): Promise<this> {
    const listening = this.#server.listen(port, this.#options.host)
    await once(listening, 'listening')
    return this
  }

  async #connected({ id, remoteAddress }: SMTPServerSession): Promise<void> {
    const source = (this.#options.sourceOf ?? sourceOf)(remoteAddress)
    if (!this.#intake.connect(source)) throw new MailError(421, '4.7.0 too many connections from your address')
    this.#clients.set(id, { source, deadline: undefined })
    this.#await(id)
  }

  #closed(id: string): void {
    const client = this.#clients.get(id)
    // Others were not admitted.
    if (!client) return
    clearTimeout(client.deadline)
    this.#clients.delete(id)
    this.#intake.disconnect(client.source)
  }

  /** Gives a client its time for the next mail. */
  #await(id: string): void {
    const client = this.#clients.get(id)
    if (!client) return
    clearTimeout(client.deadline)
    client.deadline = setTimeout(() => {
      const connection = [...this.#server.connections].find(({ session }) => session.id === id)
      // This reply also ends the connection.
      connection?.send(421, '4.4.2 the mail takes too long')
    }, this.#limits.mailTimeoutMs).unref()
  }

  async #recipient({ address }: SMTPServerAddress, { envelope }: SMTPServerSession): Promise<void> {
    if (envelope.rcptTo.length >= maxRecipients) throw new MailError(452, '4.5.3 too many recipients')
    const known = await this.#options.knows(address).catch((error: unknown) => {
      throw this.#temporary(error)
    })
    if (!known) throw new MailError(550, '5.1.1 no such mailbox here')
  }

  async #mail(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> {
    const client = this.#clients.get(session.id)
    const held = this.#intake.mail(client?.source ?? null)
    try {
      const raw = await collect(stream, this.#options.maxBytes, held)
      // From here on it is the client that waits.
      clearTimeout(client?.deadline)
      if (stream.sizeExceeded || raw === 'too large') {
        throw new MailError(552, `5.3.4 the mail has more than ${this.#options.maxBytes} bytes`)
      }
      if (raw === 'no room') throw new MailError(451, '4.3.1 too much mail at a time: try again later')
      await this.#take(raw, session)
    } finally {
      held.release()
      this.#await(session.id)
    }
  }

  async #take(raw: Buffer, { envelope, remoteAddress, hostNameAppearsAs }: SMTPServerSession): Promise<void> {
    const from = envelope.mailFrom ? envelope.mailFrom.address : ''
    const mail = { from, to: envelope.rcptTo.map(({ address }) => address), raw }
    try {
      await this.#options.take(mail, { ip: remoteAddress, helo: hostNameAppearsAs })
    } catch (error) {
      throw error instanceof MailError ? error : this.#temporary(error)
    }
  }

  /** Whatever goes wrong here, the other server keeps the mail and tries again. */
  #temporary(error: unknown): MailError {
    if (!(error instanceof MailError)) this.#options.failed(error)
    return new MailError(451, '4.3.0 try again later')
  }
}

function isTcp(address: AddressInfo | string | null): address is AddressInfo {
  return address !== null && typeof address !== 'string'
}

function settle(work: Promise<void>, done: (error?: Error | null) => void): void {
  work.then(
    () => done(null),
    (error: unknown) => {
      const { message, replyCode } = error instanceof MailError ? error : new MailError(451, '4.3.0 try again later')
      done(Object.assign(new Error(message), { responseCode: replyCode }))
    },
  )
}

/** Reads a mail to its end; what is beyond the limits is not kept. */
async function collect(stream: Readable, maxBytes: number, held: HeldMail): Promise<Buffer | 'too large' | 'no room'> {
  const chunks: Buffer[] = []
  let size = 0
  let hasRoom = true
  for await (const chunk of stream) {
    size += chunk.length
    const isKept: boolean = hasRoom && size <= maxBytes
    hasRoom &&= !isKept || held.hold(chunk.length)
    if (isKept && hasRoom) {
      chunks.push(chunk)
    } else {
      chunks.length = 0
      held.release()
    }
  }
  if (size > maxBytes) return 'too large'
  return hasRoom ? Buffer.concat(chunks) : 'no room'
}
