import { createHmac } from 'node:crypto'
import { sameSecret } from '../api/auth.ts'
import type { Vault } from '../vault.ts'

/** Long enough to start a download, too short for an address that is passed on. */
const lifetime_s = 300

/** Addresses that anyone may open for a few minutes, such as an `<img>` that cannot send credentials. */
export class TemporaryLinks {
  readonly #key: Buffer

  constructor(vault: Vault) {
    this.#key = vault.derive('temporary media urls')
  }

  /** The query that makes `path` open to anyone for five minutes. */
  sign(path: string, now: number): string {
    const expires = String(Math.ceil(now / 1000) + lifetime_s)
    return String(new URLSearchParams({ Expires: expires, Signature: this.#signature(path, expires) }))
  }

  /** Whether these are an `Expires` that has not passed and its `Signature`. */
  allows(path: string, expires: string | undefined, signature: string | undefined, now: number): boolean {
    if (expires === undefined || signature === undefined) return false
    return sameSecret(signature, this.#signature(path, expires)) && now < Number(expires) * 1000
  }

  #signature(path: string, expires: string): string {
    return createHmac('sha256', this.#key).update(`${path}\n${expires}`).digest('base64url')
  }
}
