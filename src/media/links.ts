import { createHmac, type KeyObject } from 'node:crypto'
import { sameSecret, type Vault } from '../vault.ts'

/** Long enough to start a download, too short for sharing the url. */
const lifetimeS = 300

/** Urls that need no credentials for a few minutes, for example for an `<img>`, which cannot send any. */
export class TemporaryLinks {
  readonly #key: KeyObject

  constructor(vault: Vault) {
    this.#key = vault.derive('temporary media urls')
  }

  /** Returns the query that makes `path` accessible without credentials for five minutes. */
  sign(path: string, now: number): string {
    const expires = String(Math.ceil(now / 1000) + lifetimeS)
    return String(new URLSearchParams({ Expires: expires, Signature: this.#signature(path, expires) }))
  }

  /** Whether the signature is valid and has not expired. */
  allows(path: string, expires: string | undefined, signature: string | undefined, now: number): boolean {
    if (expires === undefined || signature === undefined) return false
    return sameSecret(signature, this.#signature(path, expires)) && now < Number(expires) * 1000
  }

  #signature(path: string, expires: string): string {
    return createHmac('sha256', this.#key).update(`${path}\n${expires}`).digest('base64url')
  }
}
