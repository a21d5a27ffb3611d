import { parseStored } from '../json.ts'
import type { MediaJson } from '../media/rows.ts'
import type { BaseRow } from '../model/declare.ts'
import { represent } from '../model/represent.ts'
import type { MediaRow, ServiceRow } from '../storage/schema.ts'
import { openCredentials } from '../urls.ts'
import type { Json, ResourceKind } from './format.ts'
import { resourceOf } from './prepare.ts'
import type { StoredRow, Value } from './values.ts'

export interface ShownContext {
  /** Epoch ms: deadlines that have passed by then are shown as the API shows them. */
  readonly now: number
  readonly service: ServiceRow | null
  /** Decrypts what is encrypted in a URL. */
  readonly open: (sealed: string) => string
}

/** Keys of responses that depend on the host, are in the envelope, or are true of a moment only. */
const left = new Set([
  'url',
  'links',
  'account_sid',
  'chat_service_sid',
  'conversation_sid',
  'message_sid',
  'is_online',
  'is_notifiable',
])

/** Columns that are in `extra`, always or where they are not the default. */
const extras: Readonly<Partial<Record<ResourceKind, readonly string[]>>> = {
  service: ['default_conversation_creator_role_sid', 'default_conversation_role_sid', 'default_chat_service_role_sid'],
  conversation: [
    'last_message_index',
    'date_activity',
    'date_state',
    'date_inactive',
    'date_closed',
    'inactive_after',
    'closed_after',
    'created_by',
    'email_address',
    'email_tag',
    'date_mailbox',
  ],
  participant: ['last_read_timestamp', 'notification_level'],
  message: ['subject', 'content_variables', 'channel_metadata', 'source', 'last_updated_by'],
}
const jsonColumns = new Set(['channel_metadata'])
const urls = { root: '', family: '' }

/** Returns the line of a row. `media`: of a message, those that have a file. */
export function recordFor(kind: ResourceKind, stored: StoredRow, context: ShownContext, media: readonly MediaRow[] = []): Json {
  const { now, service, open } = context
  const chat_service_sid = service?.sid ?? null
  const resource = resourceOf({ kind, chat_service_sid })
  // Every table of a resource has these columns.
  const base = stored as unknown as BaseRow
  const current: BaseRow = resource.current?.(base, { service }) ?? base
  const elapsed: BaseRow = resource.elapse?.(current, now) ?? current
  const opened: BaseRow = resource.opened?.(elapsed, (url: string) => openCredentials(url, open)) ?? elapsed
  const row: StoredRow = { ...opened } as StoredRow
  const shown = represent(resource, opened, '', urls)
  const extra = { ...datesOf(row, resource.sid !== null), ...extraOf(kind, row, media) }
  return {
    kind,
    account_sid: row.account_sid ?? row.sid,
    ...(chat_service_sid !== null && { chat_service_sid }),
    ...(row.conversation_sid && { conversation_sid: row.conversation_sid }),
    ...(kind === 'receipt' && { message_sid: row.message_sid }),
    resource: Object.fromEntries(Object.entries(shown).filter(([key]) => !left.has(key))),
    ...(Object.keys(extra).length > 0 && { extra }),
  }
}

/** The API shows whole seconds. */
function datesOf(row: StoredRow, hasDates: boolean): Json {
  const parts = (['date_created', 'date_updated'] as const).filter((column) => hasDates && Number(row[column]) % 1000 !== 0)
  return Object.fromEntries(parts.map((column) => [column, row[column]]))
}

function extraOf(kind: ResourceKind, row: StoredRow, media: readonly MediaRow[]): Json {
  const columns = extras[kind] ?? []
  const values = columns.filter((column) => !isDefault(column, row)).map((column) => [column, shownValue(column, row[column])])
  return { ...Object.fromEntries(values), ...(kind === 'message' && row.media !== null && { media: mediaOf(row, media) }) }
}

const defaults: Readonly<Record<string, Value>> = { notification_level: 'default', source: 'API' }

function isDefault(column: string, row: StoredRow): boolean {
  return row[column] === (defaults[column] ?? null)
}

function shownValue(column: string, value: Value | undefined): unknown {
  return jsonColumns.has(column) && typeof value === 'string' ? parseStored<unknown>(value) : value
}

/** Returns the files of a message in order, each with its hash where there is a row. */
function mediaOf(row: StoredRow, media: readonly MediaRow[]): Json[] {
  return parseStored<MediaJson[]>(String(row.media)).map((element) => {
    const file = media.find(({ sid }) => sid === element.sid)
    return { ...element, ...(file && { sha256: file.sha256, ...(file.author !== null && { author: file.author }) }) }
  })
}
