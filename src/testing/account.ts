import type { Twilio } from 'twilio'
import { postActionEvents } from '../events/names.ts'
import { WebhookCatcher } from './catcher.ts'
import { type ClientOptions, createClient } from './client.ts'
import type { Operator } from './operator.ts'

export interface Credentials {
  readonly sid: string
  readonly authToken: string
}

/** A clock that a test can move. */
export interface Clock {
  /** Returns its time. */
  now(): Promise<Date>
  /**
   * Moves it forward by an ISO 8601 duration, such as `PT10M`, or to an instant. Resolves when every deadline on the way has been
   * applied, and every webhook of it has been answered.
   */
  advance(to: string | Date): Promise<void>
}

/** A message from a person, as a carrier would hand it over. */
export interface InboundMessage {
  readonly from: string
  /** The proxy address that receives it; several for a group MMS. */
  readonly to: string | readonly string[]
  readonly body?: string
  /** SIDs of uploaded media. */
  readonly media?: readonly string[]
  /** JSON text. */
  readonly attributes?: string
  /** The sender's name in the channel. */
  readonly profile_name?: string
}

/** Where an inbound message has gone. */
export interface ReceivedMessage {
  readonly account_sid: string
  readonly service_sid: string
  readonly conversation_sid: string
  readonly participant_sid: string
  readonly message_sid: string
  /** Whether the conversation was created for it. */
  readonly created: boolean
}

/** How requests are to fail: with a status, or without a response; perhaps only after a while. */
export interface NewFault {
  /** As in the official description, such as `CreateConversation` or `ListServiceUser`. */
  readonly operation: string
  /** 400 to 599. Absent: the request is served, after the latency. */
  readonly status?: number
  /** ISO 8601 duration to wait for, such as `PT2S`. */
  readonly latency?: string
  /** Whether to cut the connection. */
  readonly drop?: boolean
  /** How many requests; 1 by default. */
  readonly times?: number
}

/** An account on a server, and what a test can do with it. */
export class TestAccount implements AsyncDisposable {
  readonly account: Credentials
  /** Receives the account's webhooks. All post-action events go there, unless the account's webhooks are configured otherwise. */
  readonly webhooks: WebhookCatcher
  readonly clock: Clock
  protected readonly operator: Operator

  protected constructor(operator: Operator, account: Credentials, webhooks: WebhookCatcher, clock: Clock) {
    this.operator = operator
    this.account = account
    this.webhooks = webhooks
    this.clock = clock
  }

  /** Creates an account. Moving its clock moves no other. */
  static async create(operator: Operator): Promise<TestAccount> {
    const created = await operator.admin<{ sid: string; auth_token: string }>('POST', '/accounts', { friendly_name: 'Test' })
    const account = { sid: created.sid, authToken: created.auth_token }
    const webhooks = await WebhookCatcher.start(account.authToken)
    await subscribe(operator, account, webhooks)
    return new TestAccount(operator, account, webhooks, remoteClock(operator, account.sid))
  }

  /** The base URL of the server. */
  get url(): string {
    return this.operator.connection.url
  }

  /** Returns a client of the official package that talks to the server. The package is the caller's own. */
  client(options?: ClientOptions): Twilio {
    return createClient(this.url, this.account, options)
  }

  /** A message from outside, which finds or creates its conversation. Throws the server's refusal. */
  inbound(message: InboundMessage): Promise<ReceivedMessage> {
    return this.operator.admin('POST', '/inbound', { account_sid: this.account.sid, ...message })
  }

  /** Lets the next requests of the account to an operation fail. */
  async fail(fault: NewFault): Promise<void> {
    await this.operator.admin('POST', '/faults', { account_sid: this.account.sid, ...fault })
  }

  /** Resolves when no webhook is under way, and none is due. */
  async settled(): Promise<void> {
    await this.operator.admin('GET', '/deliveries?wait=idle&limit=1')
  }

  /** Stops receiving webhooks. */
  async stop(): Promise<void> {
    await this.webhooks.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

const webhookPath = '/Configuration/Webhooks'

/** Whether a seed has configured the account's webhooks. */
export async function hasWebhooks(operator: Operator, account: Credentials): Promise<boolean> {
  const { pre_webhook_url, post_webhook_url } = await operator.api<Record<string, unknown>>(account, webhookPath)
  return pre_webhook_url !== null || post_webhook_url !== null
}

/** Leads the account's webhooks to the catcher. */
export async function subscribe(operator: Operator, account: Credentials, { url }: WebhookCatcher): Promise<void> {
  const form = new URLSearchParams({ PostWebhookUrl: url })
  for (const event of postActionEvents) form.append('Filters', event)
  await operator.api(account, webhookPath, form)
}

/** The clock of an account, or of the server. */
export function remoteClock(operator: Operator, account_sid?: string): Clock {
  const query = account_sid === undefined ? '' : `?account_sid=${account_sid}`
  return {
    now: async () => new Date((await operator.admin<{ now: string }>('GET', `/clock${query}`)).now),
    async advance(to) {
      const move = typeof to === 'string' ? { advance: to } : { now: to.toISOString() }
      await operator.admin('POST', '/clock', { ...move, deliver: true, ...(account_sid !== undefined && { account_sid }) })
    },
  }
}
