import { type Credentials, hasWebhooks, remoteClock, subscribe, TestAccount } from './testing/account.ts'
import { WebhookCatcher } from './testing/catcher.ts'
import { type Connection, Operator } from './testing/operator.ts'
import { type StartOptions, startServer } from './testing/start.ts'

export type { Clock, Credentials, InboundMessage, NewFault, ReceivedMessage, TestAccount } from './testing/account.ts'
export type { CaughtWebhook, WebhookCatcher, WebhookMatch, WebhookReply } from './testing/catcher.ts'
export type { ClientOptions } from './testing/client.ts'
export type { Connection } from './testing/operator.ts'
export type { StartOptions } from './testing/start.ts'

/** What a server remembers under this name. */
export interface Snapshot {
  readonly snapshot: string
}

/** A server that was started for tests, as its first account sees it. */
export class TestParley extends TestAccount {
  readonly #stop: () => Promise<void>
  /** Leads the webhooks of the first account to the catcher, unless the seed leads them elsewhere. */
  readonly #subscribe: () => Promise<void>

  private constructor(
    operator: Operator,
    account: Credentials,
    webhooks: WebhookCatcher,
    { stop, subscribe }: { stop: () => Promise<void>; subscribe: () => Promise<void> },
  ) {
    super(operator, account, webhooks, remoteClock(operator))
    this.#stop = stop
    this.#subscribe = subscribe
  }

  /** See `startParley`. */
  static async start(options: StartOptions): Promise<TestParley> {
    const { connection, account, stop } = await startServer(options)
    const operator = new Operator(connection)
    const webhooks = await WebhookCatcher.start(account.authToken)
    try {
      const configured = options.seed !== undefined && (await hasWebhooks(operator, account))
      const parley = new TestParley(operator, account, webhooks, {
        stop,
        subscribe: async () => (configured ? undefined : subscribe(operator, account, webhooks)),
      })
      await parley.#subscribe()
      return parley
    } catch (error) {
      await Promise.all([webhooks.close(), stop()])
      throw error
    }
  }

  /** For `joinParley` in other processes: plain data. */
  get connection(): Connection {
    return this.operator.connection
  }

  /** Creates an account of its own for a test that runs beside others; its clock moves no other. */
  newAccount(): Promise<TestAccount> {
    return TestAccount.create(this.operator)
  }

  /**
   * Goes back to the seed: everything else is gone, the clock is back at real time, and the timers of the seed start now. The
   * catcher is empty.
   */
  async reset(): Promise<void> {
    await this.operator.admin('POST', '/reset')
    await this.#subscribe()
    this.webhooks.clear()
  }

  /** Remembers everything that is stored, and the time. */
  async snapshot(): Promise<Snapshot> {
    return this.operator.admin('POST', '/snapshot')
  }

  /** Goes back to a snapshot, in time, too. The catcher is empty. */
  async restore({ snapshot }: Snapshot): Promise<void> {
    await this.operator.admin('POST', '/restore', { snapshot })
    this.webhooks.clear()
  }

  /** Stops the server. Everything in it is lost. */
  override async stop(): Promise<void> {
    await super.stop()
    await this.#stop()
  }
}

/**
 * Starts a server in memory, on a port of its own, in this process or in one of its own.
 *
 *     await using parley = await startParley()
 *     const conversation = await parley.client().conversations.v1.conversations.create({ 'timers.inactive': 'PT10M' })
 *     await parley.clock.advance('PT10M')
 *     await parley.webhooks.next({ EventType: 'onConversationStateUpdated' })
 */
export function startParley(options: StartOptions = {}): Promise<TestParley> {
  return TestParley.start(options)
}

/** Creates an account of its own on a server that another process has started: `connection` of `startParley`. */
export function joinParley(connection: Connection): Promise<TestAccount> {
  return TestAccount.create(new Operator(connection))
}
