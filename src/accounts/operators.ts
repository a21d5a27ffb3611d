import type { Tx } from '../storage/database.ts'
import { operatorBySid, operatorTokenById, operatorTokensOf } from '../storage/lookups.ts'
import { deleteRow, insert, rowsBy, updateNames, updateRow } from '../storage/rows.ts'
import type { OperatorRow, OperatorTokenRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'

const byName = rowsBy('operators', ['name'])
const byRole = rowsBy('operators', ['role'])

/** So many tokens of an operator are valid at a time: an old and a new one while programs change over. */
const maxTokens = 2

export const allOperators = shape<{ none?: null }>()((db) =>
  db.selectFrom('operators').selectAll().orderBy('date_created').orderBy('sid'),
)
export const allOperatorTokens = shape<{ none?: null }>()((db) =>
  db.selectFrom('operator_tokens').selectAll().orderBy('date_created').orderBy('id'),
)

type Changes = Partial<Pick<OperatorRow, 'name' | 'role' | 'text' | 'accounts'>>

/** Changes of who may use the operator's API. The input has hashes of tokens, SIDs and the time. */
export const operatorCommands = {
  async createOperator(
    tx: Tx,
    { operator, token }: { readonly operator: OperatorRow; readonly token: OperatorTokenRow },
  ): Promise<boolean> {
    if (await tx.one(byName, { name: operator.name })) return false
    await insert(tx, 'operators', operator)
    await insert(tx, 'operator_tokens', token)
    return true
  },

  async updateOperator(
    tx: Tx,
    { sid, date_updated, ...changes }: Changes & { readonly sid: string; readonly date_updated: number },
  ): Promise<OperatorRow | 'no operator' | 'taken' | 'last admin'> {
    const admins = await holdAdmins(tx)
    const before = await tx.hold(operatorBySid, { sid }, 'change')
    if (!before) return 'no operator'
    const named = changes.name === undefined ? undefined : await tx.one(byName, { name: changes.name })
    if (named && named.sid !== sid) return 'taken'
    const after: OperatorRow = { ...before, ...changes, date_updated }
    if (isAdmin(before) && !isAdmin(after) && admins.every((each) => each === sid)) return 'last admin'
    await tx.run(updateNames('operators', ['sid'], [...Object.keys(changes), 'date_updated']), { sid, ...changes, date_updated })
    notifyOf(tx, sid)
    return after
  },

  async deleteOperator(tx: Tx, { sid }: { readonly sid: string }): Promise<'deleted' | 'no operator' | 'last admin'> {
    const admins = await holdAdmins(tx)
    const row = await tx.hold(operatorBySid, { sid }, 'change')
    if (!row) return 'no operator'
    if (isAdmin(row) && admins.every((each) => each === sid)) return 'last admin'
    await tx.run(deleteRow('operator_tokens', ['operator_sid']), { operator_sid: sid })
    await tx.run(deleteRow('operators', ['sid']), { sid })
    notifyOf(tx, sid)
    return 'deleted'
  },

  /**
   * Adds a token, beside the one that there is unless `endsOld`, and ends all sessions. Tokens that have expired go. Refuses a third
   * one with 'two tokens'.
   */
  async rotateOperatorToken(
    tx: Tx,
    { token, endsOld }: { readonly token: OperatorTokenRow; readonly endsOld: boolean },
  ): Promise<'rotated' | 'no operator' | 'two tokens'> {
    const { operator_sid, date_created: now } = token
    const row = await tx.hold(operatorBySid, { sid: operator_sid }, 'change')
    if (!row) return 'no operator'
    const old = await tx.all(operatorTokensOf, { operator_sid })
    const ended = old.filter(({ date_expires }) => endsOld || (date_expires !== null && date_expires <= now))
    if (old.length - ended.length >= maxTokens) return 'two tokens'
    for (const { id } of ended) await tx.run(deleteRow('operator_tokens', ['id']), { id })
    await insert(tx, 'operator_tokens', token)
    await tx.run(endedSessions, { sid: operator_sid, sessions: row.sessions + 1, date_updated: now })
    notifyOf(tx, operator_sid)
    return 'rotated'
  },

  /** Returns whether the operator had the token. */
  async deleteOperatorToken(
    tx: Tx,
    { operator_sid, id }: { readonly operator_sid: string; readonly id: string },
  ): Promise<boolean> {
    const token = await tx.one(operatorTokenById, { id })
    if (token?.operator_sid !== operator_sid) return false
    await tx.run(deleteRow('operator_tokens', ['id']), { id })
    notifyOf(tx, operator_sid)
    return true
  },

  /** Records that a token was used. */
  async touchOperatorToken(tx: Tx, token: { readonly id: string; readonly date_used: number }): Promise<void> {
    await tx.run(usedToken, token)
  },
}

const endedSessions = updateRow('operators', ['sid'], ['sessions', 'date_updated'])
const usedToken = updateRow('operator_tokens', ['id'], ['date_used'])

/** One who may do everything everywhere, and so make other operators. */
function isAdmin({ role, accounts }: OperatorRow): boolean {
  return role === 'admin' && accounts === null
}

/** Locks the admins of all accounts, in one order, and returns their SIDs: two of them cannot go at the same time. */
async function holdAdmins(tx: Tx): Promise<string[]> {
  const sids = (await tx.all(byRole, { role: 'admin' })).map(({ sid }) => sid).sort()
  const held: string[] = []
  for (const sid of sids) {
    const row = await tx.hold(operatorBySid, { sid }, 'change')
    if (row && isAdmin(row)) held.push(sid)
  }
  return held
}

/** Streams of the operator end on every node. */
function notifyOf(tx: Tx, sid: string): void {
  tx.notify({ topic: 'access', sid })
}
