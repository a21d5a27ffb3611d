import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hash,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'

const checkWord = 'parley'

/** Encrypts secrets at rest (AES-256-GCM). Hashes would not do: auth tokens sign webhooks, key secrets verify client tokens. */
export class Vault {
  readonly #key: KeyObject

  /** `key`: 64 hex digits. */
  constructor(key: string) {
    if (!/^[0-9a-fA-F]{64}$/.test(key)) throw new Error('PARLEY_SECRET_KEY must be 64 hex digits')
    this.#key = createSecretKey(key, 'hex')
  }

  seal(secret: string): string {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce)
    const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')
  }

  /** Returns a sealed text by which this key is recognised later. */
  createCheck(): string {
    return this.seal(checkWord)
  }

  /** Whether `createCheck` returned this text for the same key. */
  matchesCheck(check: string): boolean {
    try {
      return this.open(check) === checkWord
    } catch {
      return false
    }
  }

  /** Derives the key for one purpose. It reveals neither the secret key nor the keys for other purposes. */
  derive(purpose: string): KeyObject {
    // A key object: `createHmac` takes eight times as long with a buffer, which it copies into one each time.
    return createSecretKey(Buffer.from(hkdfSync('sha256', this.#key, '', purpose, 32)))
  }

  /** Throws when the text was sealed with another key or has been altered. */
  open(sealed: string): string {
    const bytes = Buffer.from(sealed, 'base64')
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, 12))
    decipher.setAuthTag(bytes.subarray(12, 28))
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
  }
}

/** Compares in constant time, also when the lengths differ. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(hash('sha256', a, 'buffer'), hash('sha256', b, 'buffer'))
}
