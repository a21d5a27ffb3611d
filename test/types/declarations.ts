/*
 * Misspellings that must not compile. Nothing here runs: `npm run types` fails when an expected error does not appear.
 */
import { emit } from '../../src/events/outbox.ts'
import { preActionTarget } from '../../src/events/targets.ts'
import { resource } from '../../src/model/declare.ts'
import { text } from '../../src/model/params.ts'
import type { Tx } from '../../src/storage/database.ts'
import { deleteRow, insert, rowsBy, updateRow } from '../../src/storage/rows.ts'
import type { ConversationRow, ReceiptRow } from '../../src/storage/schema.ts'

const conversation = {
  name: 'Conversation',
  path: 'Conversations',
  under: 'service',
  table: 'conversations',
  sid: 'conversation',
  params: { FriendlyName: text({}) },
  represent: () => ({}),
} as const
const list = { key: 'conversations', size: 50, max: 1000, params: {} }
const events = { preAction: {}, preActionPayload: () => ({}), amendable: {}, emits: [], postAction: () => [] }

export const orderByNoColumn = resource<ConversationRow>()({
  ...conversation,
  // @ts-expect-error a column in the order of a list
  list: { ...list, order: () => ({ by: 'date_activty', direction: 'asc', where: [] }) },
})

export const conditionOnNoColumn = resource<ConversationRow>()({
  ...conversation,
  list: {
    ...list,
    // @ts-expect-error a column in a condition of a list
    order: () => ({ by: 'date_created', direction: 'asc', where: [{ column: 'stat', operator: '=', value: 'active' }] }),
  },
})

export const noPreActionEvent = resource<ConversationRow>()({
  ...conversation,
  // @ts-expect-error the name of a pre-action event
  events: { ...events, preAction: { create: 'onConversationAded' } },
})

export const noPostActionEvent = resource<ConversationRow>()({
  ...conversation,
  events: {
    ...events,
    // @ts-expect-error the name of a post-action event
    postAction: () => [{ type: 'onConversationAded', subject_sid: '', always: false, payload: () => ({}) }],
  },
})

export const noPayloadName = resource<ConversationRow>()({
  ...conversation,
  // @ts-expect-error a parameter of a webhook's request
  events: { ...events, preActionPayload: (change) => ({ ConversationSd: change.after?.sid }) },
})

export const noAmendableParameter = resource<ConversationRow>()({
  ...conversation,
  // @ts-expect-error a parameter that a pre-action webhook may replace
  events: { ...events, amendable: { update: ['FriendlyNam'] } },
})

export const noRepresentedKey = resource<ConversationRow>()({
  ...conversation,
  // @ts-expect-error a key of the representation
  represent: (row) => ({ freindly_name: row.friendly_name }),
})

export const noUniqueColumn = resource<ConversationRow>()({
  ...conversation,
  // @ts-expect-error a column that is unique
  unique: [{ column: 'unique_nam', taken: 'uniqueNameTaken' }],
})

export const scopeColumnIsFilledIn = resource<ConversationRow>()({
  ...conversation,
  // @ts-expect-error what follows from the path is not the rule's to give, all else is
  create: () => ({ account_sid: '', service_sid: '' }),
})

// @ts-expect-error a column by which rows are read
export const rowsByNoColumn = rowsBy('conversations', ['servce_sid'])

// @ts-expect-error a column that is updated
export const updateOfNoColumn = updateRow('conversations', ['sid'], ['friendly_nam'])

// @ts-expect-error a column by which rows are deleted
export const deleteByNoColumn = deleteRow('conversations', ['sd'])

export async function queries(tx: Tx, receipt: ReceiptRow): Promise<void> {
  // @ts-expect-error an argument of a query
  await tx.one(rowsBy('conversations', ['sid']), { sd: '' })
  // @ts-expect-error a row of another table
  await insert(tx, 'conversations', receipt)
  // @ts-expect-error a status that no receipt has
  await insert(tx, 'receipts', { ...receipt, status: 'lost' })
}

type Scope = Parameters<typeof emit>[1]

export async function webhooks(tx: Tx, scope: Scope): Promise<void> {
  // @ts-expect-error an event that is no pre-action event
  preActionTarget(scope.account, scope.service, 'onConversationAdded')
  // @ts-expect-error a misspelt event
  await emit(tx, scope, { type: 'onMessageAdd', subject_sid: '', always: false, payload: () => ({}) }, 'API', [])
}
