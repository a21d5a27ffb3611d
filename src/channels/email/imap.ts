import { setTimeout as delay } from 'node:timers/promises'
import type { ImapFlow } from 'imapflow'
import { Loop, type Worker } from '../../loop.ts'
import type { Database } from '../../storage/database.ts'
import { envelopeOf } from './envelope.ts'
import { MailError, type RawMail } from './take.ts'

/** A mailbox that is emptied by IMAP: `imaps://user:password@host/INBOX`. */
export interface ImapBox {
  readonly host: string
  readonly port: number
  readonly secure: boolean
  readonly user: string
  readonly password: string
  readonly mailbox: string
}

export interface ImapOptions {
  readonly box: ImapBox
  readonly database: Pick<Database, 'slots' | 'subscribe'>
  readonly maxBytes: number
  /** Whether mail to an address is taken here. */
  readonly knows: (address: string) => Promise<boolean>
  /** Throws MailError. */
  readonly take: (mail: RawMail) => Promise<unknown>
  readonly warn: (facts: object, text: string) => void
  readonly failed: (error: unknown) => void
}

/** One node has the mailbox: the one that holds this part of the deliveries. */
const slot = 0
const intervalMs = 1000
/** New mail is looked for at least so often: a server may not tell. */
const pollMs = 60_000
/** Between attempts to connect: 1 s, 4 s, 16 s … up to so long. */
const maxPauseMs = 300_000

/** Parses `imaps://user:password@host:993/INBOX` (`imap://` with STARTTLS where it is offered). */
export function imapBox(url: string): ImapBox {
  const { protocol, hostname, port, username, password, pathname } = new URL(url)
  const secure = protocol === 'imaps:'
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (secure ? 993 : 143) : Number(port),
    secure,
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    mailbox: decodeURIComponent(pathname.slice(1)) || 'INBOX',
  }
}

/**
 * Takes the unread mails of a mailbox, as they come (IDLE), and marks them as read: on the node that holds the lease. A mail that is
 * refused is marked as read and flagged; one that may be taken later stays unread. No mail holds up the others.
 */
export class ImapFetcher implements Worker {
  readonly #options: ImapOptions
  readonly #loop: Loop
  #session: { readonly over: AbortController; readonly ended: Promise<void> } | undefined
  #failures = 0
  #nextMs = 0

  constructor(options: ImapOptions) {
    this.#options = options
    this.#loop = new Loop(async () => {
      await this.#once()
      return intervalMs
    }, options.failed)
    options.database.subscribe((notices) => {
      if (notices.some(({ topic }) => topic === 'slots' || topic === 'missed')) this.#loop.nudge()
    })
  }

  start(): void {
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
    await this.#end()
  }

  async #once(): Promise<void> {
    if (!this.#options.database.slots.mine(slot, intervalMs)) return this.#end()
    if (this.#session || performance.now() < this.#nextMs) return
    const over = new AbortController()
    const ended = this.#run(over.signal).finally(() => {
      this.#session = undefined
    })
    this.#session = { over, ended }
  }

  async #end(): Promise<void> {
    this.#session?.over.abort()
    await this.#session?.ended
  }

  /** Never throws. */
  async #run(over: AbortSignal): Promise<void> {
    try {
      await this.#listen(over)
    } catch (error) {
      const why = error instanceof Error ? error.message.slice(0, 300) : 'unknown error'
      if (!over.aborted) this.#options.warn({ why }, 'the IMAP mailbox cannot be read')
    }
    this.#nextMs = performance.now() + Math.min(1000 * 4 ** this.#failures++, maxPauseMs)
  }

  async #listen(over: AbortSignal): Promise<void> {
    const { ImapFlow } = await import('imapflow')
    const { host, port, secure, user, password: pass, mailbox } = this.#options.box
    const client = new ImapFlow({ host, port, secure, auth: { user, pass }, logger: false, disableAutoIdle: true })
    const broken = Promise.withResolvers<never>()
    broken.promise.catch(() => {})
    client.on('error', broken.reject)
    client.on('close', () => broken.reject(new Error('the connection was closed')))
    const abort = () => client.close()
    over.addEventListener('abort', abort)
    try {
      await client.connect()
      await client.mailboxOpen(mailbox)
      this.#failures = 0
      let news = Promise.withResolvers<void>()
      client.on('exists', () => news.resolve())
      while (!over.aborted) {
        news = Promise.withResolvers<void>()
        await this.#takeUnread(client, over)
        const pause = new AbortController()
        const idle = client.idle()
        await Promise.race([
          news.promise,
          broken.promise,
          delay(pollMs, undefined, { signal: pause.signal }).catch(() => {}),
        ]).finally(() => pause.abort())
        // The next command ends it.
        idle.catch(() => {})
      }
    } finally {
      over.removeEventListener('abort', abort)
      client.close()
    }
  }

  async #takeUnread(client: ImapFlow, over: AbortSignal): Promise<void> {
    const uids = (await client.search({ seen: false }, { uid: true })) || []
    for (const uid of uids) {
      if (over.aborted) return
      const flags = await this.#takeOne(client, uid)
      if (flags.length > 0) await client.messageFlagsAdd(String(uid), flags, { uid: true })
    }
  }

  /** Takes one mail. Returns the flags that it gets; none when it is to be tried again. */
  async #takeOne(client: ImapFlow, uid: number): Promise<string[]> {
    const { take, maxBytes, warn, failed } = this.#options
    const refused = ['\\Seen', '\\Flagged']
    const sized = await client.fetchOne(String(uid), { size: true }, { uid: true })
    if (!sized) return []
    if ((sized.size ?? 0) > maxBytes) {
      warn({ uid }, 'a mail in the IMAP mailbox is too large: it was flagged')
      return refused
    }
    const fetched = await client.fetchOne(String(uid), { source: true }, { uid: true })
    const source = fetched ? fetched.source : undefined
    if (!source) return []
    try {
      await take(await this.#withEnvelope(source))
      return ['\\Seen']
    } catch (error) {
      if (error instanceof MailError && error.replyCode >= 500) {
        warn({ uid, why: error.message }, 'a mail in the IMAP mailbox was refused: it was flagged')
        return refused
      }
      if (!(error instanceof MailError)) failed(error)
      return []
    }
  }

  /** Returns a mail with the envelope that its headers show: of the mailbox itself when they name none that is known here. */
  async #withEnvelope(raw: Buffer): Promise<RawMail> {
    const { knows, box } = this.#options
    const { from, to: named } = await envelopeOf(raw)
    const known = await Promise.all(named.map(knows))
    const to = named.filter((_, i) => known[i])
    return { from, to: to.length > 0 ? to : [box.user], raw }
  }
}
