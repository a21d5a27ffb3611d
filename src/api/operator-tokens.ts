import { hash, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { parseStored } from '../json.ts'
import type { Reader } from '../storage/database.ts'
import { operatorBySid, operatorTokenById } from '../storage/lookups.ts'
import type { OperatorRow, OperatorTokenRow } from '../storage/schema.ts'
import { sameSecret } from '../vault.ts'
import { type Access, accessOf } from './rights.ts'

/** `plo_`, by which scanners know such secrets, an id and 256 random bits. */
const form = /^plo_([0-9a-f]{24})_[0-9A-Za-z_-]{43}$/

/** The last use of a token is recorded once in so long. */
const usedMs = 60_000

/** Returns a new token, and its row. Nobody can learn the token from the row. */
export function newOperatorToken(operator_sid: string, now: number, date_expires: number | null) {
  const id = randomBytes(12).toString('hex')
  const token = `plo_${id}_${randomBytes(32).toString('base64url')}`
  const row: OperatorTokenRow = { id, operator_sid, hash: hashOf(token), date_expires, date_used: null, date_created: now }
  return { token, row }
}

/** Returns the part of a token that is no secret; null for what has not its form. */
export function operatorTokenId(token: string): string | null {
  return form.exec(token)?.[1] ?? null
}

function hashOf(token: string): string {
  return hash('sha256', token, 'hex')
}

/** An operator who is recognised, by which token and as of which rotation. */
export interface Recognised {
  readonly access: Access
  readonly token_id: string
  readonly sessions: number
}

export interface OperatorTokensOptions {
  readonly read: Pick<Reader, 'one'>
  /** Records the use of a token; `now` in epoch ms. Nobody waits for it. */
  readonly onUsed: (id: string, now: number) => void
}

/**
 * Recognises operators by their tokens. Rows are read with each request: what has changed, and a token that was ended, counts from
 * the next request on, on every node.
 */
export class OperatorTokens {
  readonly #options: OperatorTokensOptions
  readonly #used = new LRUCache<string, number>({ max: 1000 })

  constructor(options: OperatorTokensOptions) {
    this.#options = options
  }

  /** Returns whose token it is; null when it is nobody's, or has expired. */
  async recognise(token: string, now: number): Promise<Recognised | null> {
    const id = operatorTokenId(token)
    const row = id === null ? undefined : await this.#options.read.one(operatorTokenById, { id })
    const isRight = sameSecret(row?.hash ?? '', hashOf(token))
    return row && isRight ? this.#recognised(row, now) : null
  }

  /** Returns the operator of a session that a token has begun; null when that was ended or has expired, or when they were rotated since. */
  async recall(tokenId: string, sessions: number, now: number): Promise<Recognised | null> {
    const row = await this.#options.read.one(operatorTokenById, { id: tokenId })
    const found = row ? await this.#recognised(row, now) : null
    return found?.sessions === sessions ? found : null
  }

  async #recognised(row: OperatorTokenRow, now: number): Promise<Recognised | null> {
    if (row.date_expires !== null && row.date_expires <= now) return null
    const operator = await this.#options.read.one(operatorBySid, { sid: row.operator_sid })
    if (!operator) return null
    this.#touch(row, now)
    return { access: accessOfRow(operator), token_id: row.id, sessions: operator.sessions }
  }

  #touch({ id, date_used }: OperatorTokenRow, now: number): void {
    const last = Math.max(date_used ?? 0, this.#used.get(id) ?? 0)
    if (now - last < usedMs) return
    this.#used.set(id, now)
    this.#options.onUsed(id, now)
  }
}

export function accessOfRow({ sid, name, role, text, accounts }: OperatorRow): Access {
  return accessOf({ id: sid, name, role, text: text === 1, accounts: accounts === null ? null : parseStored<string[]>(accounts) })
}
