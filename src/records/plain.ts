import { kindByName } from '../channels/kinds.ts'
import { shownSettings } from '../channels/settings.ts'
import { seconds } from '../dates.ts'
import { isJsonObject, parseStored } from '../json.ts'
import { date } from '../model/params.ts'
import { textError } from '../resources/conversations/messages/content.ts'
import { externalIdKey } from '../storage/lookups.ts'
import type { Table } from '../storage/rows.ts'
import type { ExternalIdRow } from '../storage/schema.ts'
import { Fields, parsed } from './fields.ts'
import { type Json, type PlainKind, RecordError, type RecordLine } from './format.ts'
import { type Place, refuseUnstorable, type StoredRow } from './values.ts'

/*
 * What belongs to an account and is no resource of the API v1: content templates, mail addresses that get no more mail, what carriers call
 * messages. Channels are shown, and not stored: without its secrets one does not work.
 */

/** A row that is written as it is. */
export interface PreparedPlain extends Place {
  readonly kind: StoredKind
  /** Names of the columns of its key. */
  readonly key: readonly string[]
  readonly row: StoredRow
}

type StoredKind = Exclude<PlainKind, 'channel'>

/** `order`: columns by which the rows of an account are read, without a sort of all of them. */
export const plainTables: Readonly<
  Record<PlainKind, { readonly table: Table; readonly key: readonly string[]; readonly order: readonly string[] }>
> = {
  content: { table: 'contents', key: ['account_sid', 'sid'], order: ['sid'] },
  mail_block: { table: 'mail_blocks', key: ['account_sid', 'address'], order: ['address'] },
  external_id: { table: 'external_ids', key: ['id'], order: ['external_id', 'id'] },
  channel: { table: 'channels', key: ['account_sid', 'proxy_address'], order: ['proxy_address'] },
}

/** Returns the line of a row. */
export function plainRecordFor(kind: PlainKind, row: StoredRow): Json {
  const parts = (['date_created', 'date_updated'] as const).filter((column) => Number(row[column] ?? 0) % 1000 !== 0)
  const extra = Object.fromEntries(parts.map((column) => [column, row[column]]))
  const { account_sid } = row
  return { kind, account_sid, resource: shown[kind](row), ...(parts.length > 0 && { extra }) }
}

const shown: Readonly<Record<PlainKind, (row: StoredRow) => Json>> = {
  content: (row) => ({
    sid: row.sid,
    friendly_name: row.friendly_name,
    variables: parseStored<Json>(String(row.variables)),
    types: parseStored<Json>(String(row.types)),
    ...datesOf(row, ['date_created', 'date_updated']),
  }),
  mail_block: (row) => ({
    address: row.address,
    error_code: row.error_code,
    reason: row.reason,
    ...datesOf(row, ['date_created']),
  }),
  external_id: ({ channel, external_id, direction, service_sid, ...row }) => ({
    channel,
    external_id,
    direction,
    chat_service_sid: service_sid,
    conversation_sid: row.conversation_sid,
    participant_sid: row.participant_sid,
    message_sid: row.message_sid,
    message_index: row.message_index,
    channel_message_sid: row.channel_message_sid,
    ...datesOf(row, ['date_created']),
  }),
  channel: (row) => {
    const kind = kindByName(String(row.kind))
    return {
      sid: row.sid,
      proxy_address: row.proxy_address,
      kind: row.kind,
      // Of another version's kind nothing says what is secret.
      settings: kind ? shownSettings(kind.settings, String(row.settings)) : {},
      ...datesOf(row, ['date_created', 'date_updated']),
    }
  },
}

function datesOf(row: StoredRow, columns: readonly string[]): Json {
  return Object.fromEntries(columns.map((column) => [column, seconds(Number(row[column]))]))
}

/** Checks a record. Throws RecordError. */
export function preparePlain(record: RecordLine, kind: PlainKind): PreparedPlain {
  if (kind === 'channel') throw new RecordError('it has no secrets: create the channel with parley channels set')
  const { account_sid, chat_service_sid: service_sid, conversation_sid, message_sid } = record
  const resource = new Fields(record.resource, 'resource')
  const row: StoredRow = { ...rows[kind](record, resource), date_created: dateOf(record, 'date_created') }
  refuseUnstorable(row)
  return { kind, account_sid, service_sid, conversation_sid, message_sid, key: plainTables[kind].key, row }
}

const instant = date('invalidDateCreated')

function dateOf(record: RecordLine, key: 'date_created' | 'date_updated'): number {
  const extra = new Fields(record.extra, 'extra')
  return extra.has(key) ? extra.ms(key) : parsed(instant, `resource.${key}`, record.resource[key])
}

const rows: Readonly<Record<StoredKind, (record: RecordLine, resource: Fields) => StoredRow>> = {
  content(record, resource) {
    const variables = resource.object('variables') ?? {}
    const types = resource.object('types') ?? {}
    if (!Object.values(variables).every((value) => typeof value === 'string' && value.length <= 256)) {
      throw resource.wrong('variables', 'must have texts of at most 256 characters')
    }
    const contents = Object.entries(types).filter((entry): entry is [string, Json] => isJsonObject(entry[1]))
    if (contents.length === 0 || contents.length < Object.keys(types).length) throw resource.wrong('types', 'must have objects')
    const wrong = textError(Object.fromEntries(contents))
    if (wrong !== undefined) throw new RecordError(`resource.${wrong}`)
    return {
      account_sid: record.account_sid,
      sid: resource.sid('sid', 'content'),
      friendly_name: resource.textOrNull('friendly_name', 256),
      variables: JSON.stringify(variables),
      types: JSON.stringify(types),
      date_updated: dateOf(record, 'date_updated'),
    }
  },

  mail_block: ({ account_sid }, resource) => ({
    account_sid,
    address: resource.text('address', 256).toLowerCase(),
    error_code: resource.integer('error_code'),
    reason: resource.text('reason', 4096),
  }),

  external_id({ account_sid }, resource) {
    const named = { account_sid, channel: resource.text('channel', 256), external_id: resource.text('external_id', 1024) }
    const direction: ExternalIdRow['direction'] = resource.word('direction', ['in', 'out'])
    return {
      ...named,
      id: externalIdKey(named, direction),
      direction,
      service_sid: resource.sidOrNull('chat_service_sid', 'service'),
      conversation_sid: resource.sidOrNull('conversation_sid', 'conversation'),
      participant_sid: resource.sidOrNull('participant_sid', 'participant'),
      message_sid: resource.sidOrNull('message_sid', 'message'),
      message_index: resource.integerOrNull('message_index'),
      channel_message_sid: resource.textOrNull('channel_message_sid', 256),
      early: null,
    }
  },
}
