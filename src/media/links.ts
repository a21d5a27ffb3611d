import { createHmac, type KeyObject } from 'node:crypto'
import { sameSecret, type Vault } from '../vault.ts'

/** Long enough to start a download, too short for sharing the url. */
export const lifetimeS = 300

/** Carriers fetch media minutes or hours after they have been told of them. */
const channelLifetimeS = 24 * 3600

/** Returns the path, below `/v1`, at which a signed url has the content of media. */
export function signedPath(service_sid: string, sid: string): string {
  return `/Services/${service_sid}/Media/${sid}/Content/Temporary`
}

/** Urls that need no credentials for a few minutes, for example for an `<img>`, which cannot send any. */
export class TemporaryLinks {
  /** The first signs. */
  readonly #keys: readonly [KeyObject, ...KeyObject[]]

  constructor(vault: Vault) {
    this.#keys = vault.deriveAll('temporary media urls')
  }

  /** Returns the query that makes `path` accessible without credentials for five minutes. */
  sign(path: string, now: number): string {
    return this.#query(path, Math.ceil(now / 1000) + lifetimeS)
  }

  /** The same for a carrier: for a day. */
  signForChannel(path: string, now: number): string {
    return this.#query(path, Math.ceil(now / 1000) + channelLifetimeS)
  }

  #query(path: string, expiresS: number): string {
    const expires = String(expiresS)
    return String(new URLSearchParams({ Expires: expires, Signature: signatureOf(this.#keys[0], path, expires) }))
  }

  /** Whether the signature is valid and has not expired. */
  allows(path: string, expires: string | undefined, signature: string | undefined, now: number): boolean {
    if (expires === undefined || signature === undefined) return false
    const signed = this.#keys.some((key) => sameSecret(signature, signatureOf(key, path, expires)))
    return signed && now < Number(expires) * 1000
  }
}

function signatureOf(key: KeyObject, path: string, expires: string): string {
  return createHmac('sha256', key).update(`${path}\n${expires}`).digest('base64url')
}
