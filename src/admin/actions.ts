/** What the audit log calls a request. */
export interface Action {
  /** Such as `api_key.created`. */
  readonly name: string
  /** The table whose row it changes, of which the log shows what has changed. */
  readonly table: string | null
}

/** By method and path. */
const actions: Readonly<Record<string, string | readonly [action: string, table: string]>> = {
  'POST /accounts': ['account.created', 'accounts'],
  'POST /accounts/:sid': ['account.updated', 'accounts'],
  'DELETE /accounts/:sid': 'account.deleted',
  'POST /accounts/:sid/rotate': ['account.token_rotated', 'accounts'],
  'POST /accounts/:sid/keys': ['api_key.created', 'api_keys'],
  'POST /accounts/:sid/keys/:key/rotate': ['api_key.rotated', 'api_keys'],
  'DELETE /accounts/:sid/keys/:key': 'api_key.deleted',
  'POST /operators': ['operator.created', 'operators'],
  'POST /operators/:sid': ['operator.updated', 'operators'],
  'DELETE /operators/:sid': 'operator.deleted',
  'POST /operators/:sid/rotate': ['operator.token_rotated', 'operators'],
  'DELETE /operators/:sid/tokens/:id': 'operator.token_ended',
  'POST /tokens': 'access_token.created',
  'POST /secret-key/rotation': 'secret_key.rotated',
  'POST /secret-key/rotation/finish': 'secret_key.rotation_finished',
  'PUT /accounts/:sid/channels/:address': ['channel.set', 'channels'],
  'DELETE /accounts/:sid/channels/:address': 'channel.deleted',
  'POST /accounts/:sid/channels/:address/check': 'channel.checked',
  'PUT /accounts/:sid/contents/:content': ['content.set', 'contents'],
  'DELETE /accounts/:sid/contents/:content': 'content.deleted',
  'PUT /accounts/:sid/retention': ['retention.set', 'retention'],
  'PUT /accounts/:sid/services/:service_sid/retention': ['retention.set', 'retention'],
  'POST /accounts/:sid/retention/dry-run': 'retention.counted',
  'POST /accounts/:sid/services/:service_sid/retention/dry-run': 'retention.counted',
  'DELETE /accounts/:sid/mail-blocks/:address': 'mail_block.deleted',
  'POST /accounts/:sid/erasures': ['erasure.created', 'erasures'],
  'POST /accounts/:sid/disclosures': 'disclosure.created',
  'POST /services/:service/conversations/:sid/reopen': ['conversation.reopened', 'conversations'],
  'POST /deliveries/redeliver': 'deliveries.redelivered',
  'POST /deliveries/:id/redeliver': ['delivery.redelivered', 'deliveries'],
  'DELETE /deliveries': 'deliveries.dropped',
  'POST /audit/verify': 'audit.verified',
  'POST /audit/exports': 'records.exported',
  'POST /audit/checkpoints': 'audit.checkpoint_signed',
  'POST /import': 'records.imported',
  'POST /import/timers': 'records.timers_started',
  'POST /import/check': 'records.checked',
  'POST /mirror': 'mirror.started',
  'DELETE /mirror': 'mirror.ended',
  'POST /targets/:sid/test': 'target.tested',
  'POST /inbound': ['inbound_message.created', 'messages'],
  'POST /receipts': ['receipt.created', 'receipts'],
  'POST /mail': ['inbound_mail.created', 'messages'],
  'DELETE /mail': 'mail.cleared',
  'POST /session': 'session.created',
  // The browser comes back from the provider by a read.
  'GET /session/openid/callback': 'session.created',
  'DELETE /session': 'session.ended',
  'POST /session/links': 'session_link.created',
  'POST /gateway': 'gateway.opened',
  'POST /clock': 'clock.moved',
  'POST /reset': 'installation.reset',
  'POST /snapshot': 'snapshot.created',
  'POST /restore': 'snapshot.restored',
  'POST /faults': 'fault.created',
  'DELETE /faults': 'faults.cleared',
}

const verbs: Readonly<Record<string, string>> = { POST: 'posted', PUT: 'put', DELETE: 'deleted' }

/** Returns what the log calls a request to a route that writes. One that has no name yet is called after its path. */
export function actionOf(method: string, path: string): Action {
  const found = actions[`${method} ${path}`]
  if (found === undefined) {
    const words = path.split('/').filter((word) => word !== '' && !word.startsWith(':'))
    return { name: `${words.join('_')}.${verbs[method] ?? 'requested'}`, table: null }
  }
  const [name, table] = typeof found === 'string' ? [found, null] : found
  return { name, table }
}

/** Whether a route that writes has a name of its own. */
export function isNamed(method: string, path: string): boolean {
  return `${method} ${path}` in actions
}

/**
 * What carriers' programs send message by message. What they do with the operator token has an entry an hour; what a browser does, one
 * for each.
 */
const traffic: ReadonlySet<string> = new Set(['inbound_message.created', 'receipt.created', 'inbound_mail.created'])

export function isTraffic({ name }: Action): boolean {
  return traffic.has(name)
}

/** What takes many requests, which are one act: it has an entry an hour, whoever makes them. */
const steps: ReadonlySet<string> = new Set(['secret_key.rotated'])

export function isStep({ name }: Action): boolean {
  return steps.has(name)
}

/** Reads that show what people have written. */
const views: Readonly<Record<string, string>> = {
  'GET /search': 'messages.searched',
  'GET /conversations': 'messages.searched',
  'GET /threads': 'thread.viewed',
  'GET /deliveries': 'deliveries.viewed',
  'GET /deliveries/:id': 'delivery.viewed',
  'GET /mail': 'mail.viewed',
  'GET /mail/:mail': 'mail.viewed',
  'GET /mail/:mail/source': 'mail.viewed',
  'GET /mail/:mail/attachments/:index': 'mail.viewed',
}

/** Returns what the log calls a read that shows texts of messages; undefined for any other. */
export function viewOf(path: string): string | undefined {
  return views[`GET ${path}`]
}
