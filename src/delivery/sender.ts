import { type ChannelAnswer, channel_message_sids, receipt_statuses } from '../channels/receipts.ts'
import type { Clock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { channel_message, loopback } from '../resources/conversations/messages/dispatch.ts'
import type { Database, Reader } from '../storage/database.ts'
import { rowsBy } from '../storage/rows.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import type { Vault } from '../vault.ts'
import { type SendResult, type WebhookClient, webhook_timeout_ms } from './client.ts'
import type { Attempt } from './record.ts'
import { prepare } from './signature.ts'

/** Answers that a retry may change (the ancestor API's list), besides no answer at all. */
const passing_statuses = [429, 503, 504]

/** Tries after the first of a message handed to a channel: over five minutes in all. */
const channel_retries = 5

const accountBySid = rowsBy('accounts', ['sid'])

const conversationBySid = rowsBy('conversations', ['service_sid', 'sid'])

const messageBySid = rowsBy('messages', ['service_sid', 'conversation_sid', 'sid'])

export interface SenderOptions {
  readonly clock: Clock
  readonly database: Database<ParleyCommands>
  /** Reads accounts from memory where it may. */
  readonly read: Reader
  readonly client: WebhookClient
  readonly vault: Vault
  /** Further tries after a passing failure. 0 is the vendor's behaviour: one attempt, failure recorded. */
  readonly retries: number
  /** Told of each attempt. */
  readonly attempted?: (result: SendResult, row: DeliveryRow) => void
}

/** One try of a delivery: prepare → send, and what follows from the answer. Writes nothing. */
export class Sender {
  readonly #options: SenderOptions

  constructor(options: SenderOptions) {
    this.#options = options
  }

  /** One try. Answers the row as it is then, and what a channel has said when that was the last. */
  async attempt(row: DeliveryRow): Promise<{ readonly row: DeliveryRow; readonly answer?: ChannelAnswer }> {
    const { clock } = this.#options
    const earlier = JSON.parse(row.attempts) as Attempt[]
    const at = clock.now()
    const result = await this.#sendOnce(row, earlier.length)
    this.#options.attempted?.(result, row)
    const { status, error } = result
    const ok = result.kind === 'answered' && status !== null && status >= 200 && status < 300
    const attempt: Attempt = {
      at,
      duration_ms: Math.round(result.duration_ms),
      status,
      error: ok ? null : (error ?? `HTTP ${status}`),
    }
    const again = !ok && this.#mayRetry(row, result, earlier.length)
    const next: DeliveryRow = {
      ...row,
      attempts: JSON.stringify([...earlier, attempt]),
      status: ok ? 'delivered' : again ? 'pending' : 'failed',
      due: again ? clock.now() + backoff_ms(earlier.length) : row.due,
      date_finished: again ? null : clock.now(),
    }
    return { row: next, ...(!again && isChannel(row) && { answer: channelAnswer(result, ok) }) }
  }

  async #sendOnce(row: DeliveryRow, tries: number): Promise<SendResult> {
    const { client, read, vault } = this.#options
    if (isChannel(row) && (await this.#isRecalled(row))) return unsent('the message was removed before it was sent')
    if (row.url === loopback)
      return { status: 200, body: '{"status":"delivered"}', error: null, kind: 'answered', duration_ms: 0 }
    const account = await read.one(accountBySid, { sid: row.account_sid })
    if (!account) return unsent('the account is gone')
    const prepared = prepare({
      method: row.method === 'GET' ? 'GET' : 'POST',
      url: row.url,
      form: { ...(JSON.parse(row.form) as Record<string, string>), RetryCount: String(tries) },
      auth_token: vault.open(account.auth_token),
      idempotency_token: row.idempotency_token,
    })
    return client.send(prepared, webhook_timeout_ms)
  }

  /**
   * What was accepted goes out, whoever has left and whatever has closed since: a farewell is often followed by its
   * conversation's end. Only a message that was itself removed does not.
   */
  async #isRecalled({ service_sid, subject_sid, form }: DeliveryRow): Promise<boolean> {
    const { read } = this.#options.database
    const { MessageSid } = JSON.parse(form) as Record<string, string>
    if (await read.one(messageBySid, { service_sid, conversation_sid: subject_sid, sid: MessageSid })) return false
    return (await read.one(conversationBySid, { service_sid, sid: subject_sid })) !== undefined
  }

  /** A message must arrive: a channel is tried for longer than a webhook, and whatever the failure. */
  #mayRetry(row: DeliveryRow, { kind, status }: SendResult, tries: number): boolean {
    if (kind === 'unsent' || kind === 'refused_address') return false
    if (isChannel(row)) return tries < channel_retries && (status === null || status === 429 || status >= 500)
    const passing = kind === 'timeout' || (status !== null && passing_statuses.includes(status))
    return passing && tries < this.#options.retries
  }
}

function unsent(error: string): SendResult {
  return { status: null, body: '', error, kind: 'unsent', duration_ms: 0 }
}

function isChannel(row: DeliveryRow): boolean {
  return row.event_type === channel_message
}

/** A channel may name its own message and say how far it is already; no answer in the end is a failure. */
function channelAnswer({ body }: SendResult, ok: boolean): ChannelAnswer {
  const { sid: short, channel_message_sid: sid = short, status, error_code } = readAnswer(body)
  const known = receipt_statuses.find((candidate) => candidate === status)
  return {
    channel_message_sid: typeof sid === 'string' && channel_message_sids.test(sid) ? sid : null,
    status: ok ? (known ?? 'sent') : known === 'undelivered' ? known : 'failed',
    error_code: typeof error_code === 'number' && Number.isSafeInteger(error_code) && error_code > 0 ? error_code : null,
  }
}

function readAnswer(body: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** 1 s, 4 s, 16 s … */
function backoff_ms(tries: number): number {
  return 1000 * 4 ** tries
}
