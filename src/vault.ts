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
import { parseStored } from './json.ts'

const checkWord = 'parley'

/** Keys of former secret keys that go on being accepted, in hex by purpose. */
export type RetiredKeys = Readonly<Record<string, readonly string[]>>

/** The secret keys, without their text. They may cross to a thread. */
export interface VaultKeys {
  readonly current: KeyObject
  readonly previous: KeyObject | null
}

/** What is derived for these is in mails and proofs, which outlive any replacement of the secret key. */
const lasting = ['mail', 'subjects of erasures'] as const

/**
 * Encrypts secrets at rest (AES-256-GCM). Hashes would not do: auth tokens sign webhooks, key secrets verify client tokens. While the
 * secret key is being replaced there is a second one, which opens what the first does not. Which key a text was sealed with shows in
 * the attempt: the tag of the cipher is wrong for any other.
 */
export class Vault {
  /** Returns a vault that opens what another one of this process does. */
  static ofKeys({ current, previous }: VaultKeys): Vault {
    return new Vault(current, previous)
  }

  readonly #key: KeyObject
  readonly #previous: KeyObject | null
  #retired: RetiredKeys = {}

  /** Each: 64 hex digits, or what `keys` returns. `previous`: only opens. */
  constructor(key: string | KeyObject, previous: string | KeyObject | null = null) {
    this.#key = keyOf(key)
    const other = previous === null ? null : keyOf(previous)
    this.#previous = other?.equals(this.#key) ? null : other
  }

  /** What a thread of this process needs to open what this vault does. */
  get keys(): VaultKeys {
    return { current: this.#key, previous: this.#previous }
  }

  get hasPrevious(): boolean {
    return this.#previous !== null
  }

  seal(secret: string): string {
    return sealWith(this.#key, secret)
  }

  /** Throws when the text was sealed with another key or has been altered. */
  open(sealed: string): string {
    if (!this.#previous) return openWith(this.#key, sealed)
    return this.#opened(sealed)?.secret ?? openWith(this.#key, sealed)
  }

  /** Returns which key opens a text; null: none does. */
  openedBy(sealed: string): 'current' | 'previous' | null {
    return this.#opened(sealed)?.by ?? null
  }

  #opened(sealed: string): { readonly secret: string; readonly by: 'current' | 'previous' } | null {
    for (const [by, key] of [['current', this.#key] as const, ['previous', this.#previous] as const]) {
      try {
        if (key) return { secret: openWith(key, sealed), by }
      } catch {
        // Sealed with another key, or no sealed text at all.
      }
    }
    return null
  }

  /** Returns a sealed text by which this key is recognised later. */
  createCheck(): string {
    return this.seal(checkWord)
  }

  /** The same for the previous key; null without one. */
  createPreviousCheck(): string | null {
    return this.#previous && sealWith(this.#previous, checkWord)
  }

  /** Whether `createCheck` returned this text for the same key, or for the previous one. */
  matchesCheck(check: string): boolean {
    return this.#opened(check)?.secret === checkWord
  }

  /** Derives the key for one purpose. It reveals neither the secret key nor the keys for other purposes. */
  derive(purpose: string): KeyObject {
    return derived(this.#key, purpose)
  }

  /** Returns the keys whose results for a purpose are accepted: the one that `derive` returns, then those of former secret keys. */
  deriveAll(purpose: string): readonly [KeyObject, ...KeyObject[]] {
    const retired = (this.#retired[purpose] ?? []).map((hex) => createSecretKey(hex, 'hex'))
    return [this.derive(purpose), ...(this.#previous ? [derived(this.#previous, purpose)] : []), ...retired]
  }

  /** Returns what remains of the previous key when it is gone, with what remains of those before, sealed. */
  retire(): string {
    const retired = lasting.map((purpose) => {
      const [, ...former] = this.deriveAll(purpose)
      return [purpose, [...new Set(former.map((key) => key.export().toString('hex')))]]
    })
    return this.seal(JSON.stringify(Object.fromEntries(retired)))
  }

  /** Accepts from now on what `retire` returned. Throws as `open` does. */
  restoreRetired(sealed: string): void {
    this.#retired = parseStored<RetiredKeys>(this.open(sealed))
  }
}

function keyOf(key: string | KeyObject): KeyObject {
  if (typeof key !== 'string') return key
  if (!/^[0-9a-fA-F]{64}$/.test(key)) throw new Error('PARLEY_SECRET_KEY must be 64 hex digits')
  return createSecretKey(key, 'hex')
}

function sealWith(key: KeyObject, secret: string): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')
}

function openWith(key: KeyObject, sealed: string): string {
  const bytes = Buffer.from(sealed, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 })
  decipher.setAuthTag(bytes.subarray(12, 28))
  return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
}

function derived(key: KeyObject, purpose: string): KeyObject {
  // A key object: `createHmac` takes eight times as long with a buffer, which it copies into one each time.
  return createSecretKey(Buffer.from(hkdfSync('sha256', key, '', purpose, 32)))
}

/** Compares in constant time, also when the lengths differ. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(hash('sha256', a, 'buffer'), hash('sha256', b, 'buffer'))
}
