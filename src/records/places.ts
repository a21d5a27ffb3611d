import { mediaBySid } from '../media/rows.ts'
import { scopeColumns } from '../model/scope.ts'
import { openPair } from '../resources/conversations/participants/participant.ts'
import type { Tx } from '../storage/database.ts'
import {
  accountBySid,
  conversationByName,
  credentialOfAccount,
  messageBySid,
  participantByIdentity,
  roleBySid,
  serviceBySid,
  serviceOfAccount,
  userByIdentity,
} from '../storage/lookups.ts'
import { rowsBy, rowsByNames } from '../storage/rows.ts'
import type { ConversationRow, MediaRow, UserRow } from '../storage/schema.ts'
import { type Shape, shape } from '../storage/shapes.ts'
import type { Counters } from './counters.ts'
import { RecordError } from './format.ts'
import type { Loaded } from './loaded.ts'
import { type Prepared, type PreparedRow, resourceOf } from './prepare.ts'
import type { Columns, StoredRow } from './values.ts'

type InService = { readonly sid: string; readonly service_sid: string }
type InAccount = { readonly sid: string; readonly account_sid: string }
type Owner = { readonly account_sid: string; readonly service_sid?: string }

const ownersInServices: Readonly<Record<string, Shape<InService, Owner>>> = Object.fromEntries(
  (['roles', 'users', 'bindings', 'conversations'] as const).map((table) => [
    table,
    shape<InService>()((db, a) =>
      db
        .selectFrom(table)
        .select(['account_sid', 'service_sid'])
        .where('sid', '=', a.sid)
        .where('service_sid', 'in', (eb) => eb.selectFrom('services').select('sid').where('sid', '<>', a.service_sid))
        .limit(1),
    ),
  ]),
)
const ownersInAccounts: Readonly<Record<string, Shape<InAccount, Owner>>> = Object.fromEntries(
  (['credentials', 'addresses'] as const).map((table) => [
    table,
    shape<InAccount>()((db, a) =>
      db
        .selectFrom(table)
        .select(['account_sid'])
        .where('sid', '=', a.sid)
        .where('account_sid', 'in', (eb) => eb.selectFrom('accounts').select('sid').where('sid', '<>', a.account_sid))
        .limit(1),
    ),
  ]),
)
const removalBySid = rowsBy('removals', ['sid'])
const messageByIndex = rowsBy('messages', ['service_sid', 'conversation_sid', 'message_index'])
const bindingByDevice = rowsBy('bindings', ['service_sid', 'endpoint', 'binding_type'])
const addressByAddress = rowsBy('addresses', ['account_sid', 'address'])

/** Returns the columns by which the row of a record is found. */
export function keyColumns(record: PreparedRow): Readonly<Record<string, string>> {
  const { account_sid, service_sid, conversation_sid, message_sid, sid } = record
  const all: Readonly<Record<string, string | null>> = { account_sid, service_sid, conversation_sid, message_sid }
  const scope = scopeColumns(resourceOf({ kind: record.kind, chat_service_sid: service_sid }))
  return { ...Object.fromEntries(scope.map((column) => [column, all[column] ?? ''])), sid }
}

/** Reads what a record depends on. Nothing is written. */
export async function loadFor(tx: Tx, counters: Counters, record: Prepared): Promise<Loaded> {
  const { account_sid, service_sid } = record
  const [account, service] = await Promise.all([
    tx.one(accountBySid, { sid: account_sid }),
    service_sid === null || record.kind === 'service'
      ? undefined
      : tx.hold(serviceOfAccount, { sid: service_sid, account_sid }, 'keep'),
  ])
  const none = { account, service, holders: new Map<string, string>(), media: new Map<string, MediaRow>(), missing: [] }
  if (!account || 'setting' in record || 'row' in record || (record.kind !== 'service' && service_sid !== null && !service))
    return none
  const key = keyColumns(record)
  const { table } = resourceOf({ kind: record.kind, chat_service_sid: service_sid })
  const conversation =
    record.conversation_sid === null ? undefined : await counters.conversation(service_sid ?? '', record.conversation_sid)
  const [before, user, holders, media, missing] = await Promise.all([
    tx.hold(rowsByNames<StoredRow>(table, Object.keys(key)), key, 'change'),
    userOf(counters, record),
    holdersOf(tx, record, conversation),
    mediaOf(tx, record),
    missingOf(tx, record, conversation),
  ])
  if (before) return { ...none, before, user, conversation, holders, media, missing }
  const [foreign, removed] = await Promise.all([
    ownerOf(tx, record, table),
    ['conversation', 'user', 'role', 'credential', 'service'].includes(record.kind) && tx.one(removalBySid, { sid: record.sid }),
  ])
  return { ...none, foreign, removed: Boolean(removed), user, conversation, holders, media, missing }
}

function text(columns: Columns, column: string): string {
  return String(columns[column] ?? '')
}

async function userOf(counters: Counters, { kind, service_sid, columns }: PreparedRow): Promise<UserRow | undefined> {
  if ((kind !== 'participant' && kind !== 'binding') || typeof columns.identity !== 'string') return undefined
  return counters.user(service_sid ?? '', columns.identity)
}

/** Returns why the SID of a record cannot be that of a new row; undefined when nobody has it. */
async function ownerOf(tx: Tx, record: PreparedRow, table: string): Promise<string | undefined> {
  const { sid, account_sid, service_sid } = record
  if (record.kind === 'service') {
    const owner = await tx.one(serviceBySid, { sid })
    return owner && taken(sid)
  }
  const inServices = ownersInServices[table]
  const inAccounts = ownersInAccounts[table]
  const owner =
    (inServices && (await tx.one(inServices, { sid, service_sid: service_sid ?? '' }))) ??
    (inAccounts && (await tx.one(inAccounts, { sid, account_sid })))
  if (!owner) return undefined
  return owner.account_sid === account_sid ? `${sid} belongs to the service ${owner.service_sid}` : taken(sid)
}

/** Whose it is, is not said: other accounts are nobody's business. */
function taken(sid: string): string {
  return `${sid} is in use already: it cannot be stored in this account`
}

/** What only one may have: the columns, and a text that is the same for those who have the same. */
export function namesOf(record: PreparedRow, isOpen = true): { readonly column: string; readonly name: string }[] {
  const { kind, service_sid, conversation_sid, account_sid, columns } = record
  const name = (column: string, ...scope: (string | null)[]) =>
    columns[column] === null || columns[column] === undefined
      ? []
      : [{ column, name: [kind, ...scope, column, columns[column]].join(' ') }]
  switch (kind) {
    case 'conversation':
      return name('unique_name', service_sid)
    case 'user':
      return name('identity', service_sid)
    case 'participant':
      return [
        ...name('identity', conversation_sid),
        ...(isOpen && columns.proxy_address !== null ? name('address', account_sid, text(columns, 'proxy_address')) : []),
      ]
    case 'message':
      return name('message_index', conversation_sid)
    case 'binding':
      return name('endpoint', service_sid, text(columns, 'binding_type'))
    case 'address':
      return name('address', account_sid)
    default:
      return []
  }
}

async function holdersOf(tx: Tx, record: PreparedRow, conversation: ConversationRow | undefined): Promise<Map<string, string>> {
  const { columns, account_sid } = record
  const service_sid = record.service_sid ?? ''
  const conversation_sid = record.conversation_sid ?? ''
  const find = async ({ column }: { column: string }) => {
    const value = text(columns, column)
    if (record.kind === 'conversation') return tx.one(conversationByName, { service_sid, unique_name: value })
    if (record.kind === 'user') return tx.one(userByIdentity, { service_sid, identity: value })
    if (record.kind === 'message') return tx.one(messageByIndex, { service_sid, conversation_sid, message_index: Number(value) })
    if (record.kind === 'address') return tx.one(addressByAddress, { account_sid, address: value })
    if (record.kind === 'binding') {
      // The type was checked with the record.
      const binding_type = text(columns, 'binding_type') as 'apn'
      return tx.one(bindingByDevice, { service_sid, endpoint: value, binding_type })
    }
    if (column === 'identity') return tx.one(participantByIdentity, { service_sid, conversation_sid, identity: value })
    return tx.one(openPair, { account_sid, address: value, proxy_address: text(columns, 'proxy_address') })
  }
  const names = namesOf(record, conversation?.state !== 'closed')
  const found = await Promise.all(names.map(async (name) => [name.column, (await find(name))?.sid] as const))
  return new Map(found.flatMap(([column, sid]) => (sid === undefined ? [] : [[column, sid] as const])))
}

async function mediaOf(tx: Tx, { service_sid, media = [] }: PreparedRow): Promise<Map<string, MediaRow>> {
  const rows = await Promise.all(media.map(({ sid }) => tx.hold(mediaBySid, { service_sid: service_sid ?? '', sid }, 'change')))
  return new Map(rows.flatMap((row) => (row ? [[row.sid, row] as const] : [])))
}

/** Returns what a record refers to and is not there. */
async function missingOf(tx: Tx, record: PreparedRow, conversation: ConversationRow | undefined): Promise<string[]> {
  const { columns, account_sid } = record
  const service_sid = record.service_sid ?? ''
  const conversation_sid = record.conversation_sid ?? ''
  const missing: string[] = []
  if (record.conversation_sid !== null && !conversation) missing.push(`conversation ${conversation_sid}`)
  const { role_sid, credential_sid } = columns
  if (typeof role_sid === 'string' && !(await tx.one(roleBySid, { service_sid, sid: role_sid }))) missing.push(`role ${role_sid}`)
  if (typeof credential_sid === 'string' && !(await tx.one(credentialOfAccount, { account_sid, sid: credential_sid }))) {
    missing.push(`credential ${credential_sid}`)
  }
  if (record.message_sid === null) return missing
  const message = await tx.one(messageBySid, { service_sid, conversation_sid, sid: record.message_sid })
  return message ? missing : [...missing, `message ${record.message_sid}`]
}

/** Returns the columns that follow from where a record is put. Throws RecordError when it cannot be put there. */
export function placed(record: PreparedRow, loaded: Loaded, before: StoredRow | null): Columns {
  const { columns } = record
  const [missing] = loaded.missing
  if (missing !== undefined) throw new RecordError(`there is no ${missing}`)
  for (const { sid, message_sid } of loaded.media.values()) {
    if (message_sid !== null && message_sid !== record.sid) throw new RecordError(`${sid} belongs to the message ${message_sid}`)
  }
  if (record.kind === 'participant') return placedParticipant(record, loaded)
  if (record.kind !== 'conversation') return {}
  const isMoved = ['state', 'date_inactive', 'date_closed'].some((column) => before?.[column] !== columns[column])
  return {
    // Timers stand still until everything is there.
    ...(isMoved && { next_due: null }),
    ...(!before && {
      date_activity: columns.date_activity ?? columns.date_created ?? 0,
      date_state: columns.date_state ?? columns.date_updated ?? 0,
      date_mailbox: columns.date_mailbox ?? (columns.email_address === null ? null : (columns.date_created ?? 0)),
    }),
  }
}

function placedParticipant({ columns }: PreparedRow, { user, conversation }: Loaded): Columns {
  if (columns.identity !== null && !user) throw new RecordError('there is no user with its identity in the service')
  const isClosed = conversation?.state === 'closed'
  return {
    user_sid: columns.identity === null ? null : (user?.sid ?? null),
    open: isClosed ? 0 : 1,
    closed_activity: isClosed ? conversation.date_activity : null,
  }
}
