import { createSecretKey, type KeyObject } from 'node:crypto'
import { untraced } from '../events/queue.ts'
import { parseStored } from '../json.ts'
import { isSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { accountBySid, conversationBySid } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { AccountRow, DeliveryRow } from '../storage/schema.ts'
import { openCredentials } from '../urls.ts'
import type { Vault } from '../vault.ts'
import { type SendResult, type WebhookClient, webhookTimeoutMs } from './client.ts'
import { type DeliveryHandler, unsent } from './handler.ts'
import { type Prepared, prepare, withTraceparent } from './signature.ts'

const webhookBySid = rowsBy('conversation_webhooks', ['service_sid', 'conversation_sid', 'sid'])

/** Statuses that are retried (the ancestor API's list), besides time-outs. */
const retryableStatuses = [429, 503, 504]

/** The vendor's endpoint that starts Studio flows; the url of a delivery begins with it. */
export const studioBase = 'https://webhooks.twilio.com'

export interface SignedSenderOptions {
  /** Reads accounts, cached where possible. */
  readonly read: Reader
  readonly client: WebhookClient
  readonly vault: Vault
}

/** Sends a delivery once, as a signed request to its url. */
export async function sendSigned(
  options: SignedSenderOptions,
  row: DeliveryRow,
  tries: number,
  signal: AbortSignal,
  traceparent?: string,
): Promise<SendResult> {
  const { read, client, vault } = options
  const account = await read.one(accountBySid, { sid: row.account_sid })
  if (!account) return unsent('the account does not exist')
  return client.send(withTraceparent(preparedFrom(vault, account, row, tries), traceparent), webhookTimeoutMs, signal)
}

/** By the row that they are of: a row that is read anew, after any change of it, has its token opened anew. */
const tokens = new WeakMap<AccountRow, KeyObject>()

/** Returns the auth token of an account, opened once for each row: 5 µs of the 17 that it takes to prepare a request. */
function tokenOf(account: AccountRow, vault: Vault): KeyObject {
  const opened = tokens.get(account) ?? createSecretKey(vault.open(account.auth_token), 'utf8')
  tokens.set(account, opened)
  return opened
}

function preparedFrom(vault: Vault, account: AccountRow, row: DeliveryRow, tries: number): Prepared {
  return prepare({
    method: row.method,
    url: openCredentials(row.url, (sealed) => vault.open(sealed)),
    form: { ...parseStored<Record<string, string>>(row.form), RetryCount: String(tries) },
    auth_token: tokenOf(account, vault),
    idempotency_token: row.idempotency_token,
  })
}

/**
 * Returns the headers with which a webhook is sent after `tries` attempts, by the account's auth token of today; null when the account or
 * the address is none any more.
 */
export async function requestHeaders(
  { read, vault, studioUrl }: Pick<SignedSenderOptions, 'read' | 'vault'> & Pick<WebhookHandlerOptions, 'studioUrl'>,
  stored: DeliveryRow,
  tries: number,
): Promise<Readonly<Record<string, string>> | null> {
  const { row } = untraced(stored)
  const account = await read.one(accountBySid, { sid: row.account_sid })
  if (!account || !URL.canParse(row.url)) return null
  const url = isStudio(row) && studioUrl !== null ? row.url.replace(studioBase, studioUrl) : row.url
  return preparedFrom(vault, account, { ...row, url }, tries).headers
}

export interface WebhookHandlerOptions extends SignedSenderOptions {
  /** Rows as they are now. */
  readonly committed: Reader
  /** After a temporary failure; the vendor's behaviour is 0, a single attempt. */
  readonly retries: number
  /** Takes the place of the vendor's endpoint; null: nothing is sent there. */
  readonly studioUrl: string | null
}

/** Returns the handler of webhooks. */
export function webhookHandler({ committed, retries, studioUrl, ...options }: WebhookHandlerOptions): DeliveryHandler {
  return {
    maxSendMs: webhookTimeoutMs,
    send: async (row, ...how) => {
      if (await isRemoved(committed, row)) return unsent('the webhook was removed')
      if (!isStudio(row)) return sendSigned(options, row, ...how)
      if (studioUrl === null) return unsent('webhooks with the target studio are not sent: PARLEY_STUDIO_URL is not set')
      return sendSigned(options, { ...row, url: row.url.replace(studioBase, studioUrl) }, ...how)
    },
    mayRetry: (_row, { kind, status }, tries) => {
      const temporary = kind === 'timeout' || (status !== null && retryableStatuses.includes(status))
      return temporary && tries < retries
    },
  }
}

function isStudio({ url, form }: DeliveryRow): boolean {
  return url.startsWith(studioBase) && parseStored<Record<string, string>>(form).WebhookType === 'studio'
}

/**
 * Whether a conversation's webhook was removed. With the conversation itself its webhooks go, too: what it was sent last, its end
 * among it, is still sent.
 */
async function isRemoved(
  read: Reader,
  { service_sid, subject_sid: conversation_sid, target_sid }: DeliveryRow,
): Promise<boolean> {
  if (!isSid('webhook', target_sid)) return false
  if (await read.one(webhookBySid, { service_sid, conversation_sid, sid: target_sid })) return false
  return (await read.one(conversationBySid, { service_sid, sid: conversation_sid })) !== undefined
}
