import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import type { Config } from '../config.ts'
import type { Vault } from '../vault.ts'

const purpose = 'server identity'

/** The server's end of a connection. A program that passes a challenge on to the server has another one. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/**
 * Returns the keys by which a server proves which installation it serves, so that nobody else is sent the operator token: a server
 * proves by the first, and any is accepted. They are derived from the secret keys; of a database in memory nobody else knows
 * those, unless they were given: then from the token. None without a key.
 */
export function identityKeys(config: Config, vault: Vault | null, adminToken: string): readonly KeyObject[] {
  const inMemory = config.database.engine === 'sqlite' && config.database.file === ':memory:'
  if (!inMemory || config.secretKey !== null) return vault?.deriveAll(purpose) ?? []
  return [createSecretKey(Buffer.from(hkdfSync('sha256', adminToken, '', purpose, 32)))]
}

/** Returns the proof for a challenge that arrived on this connection. `nonce`: chosen by the caller. */
export function identityProof(key: KeyObject, nonce: string, { address, port }: Endpoint): string {
  const plain = address.replace(/^::ffff:/i, '').replace(/%.*$/, '')
  return createHmac('sha256', key).update(`${nonce} ${plain} ${port}`).digest('hex')
}
