import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { milliseconds, parseInstant } from '../dates.ts'
import type { Database } from '../storage/database.ts'
import { factByName, type factCommands } from '../storage/facts.ts'
import type { Vault } from '../vault.ts'

/** The fact with the key that signs checkpoints, sealed. The name is stored in databases. */
const keyFact = 'audit_signing_key'

/** The first line of a checkpoint, and the name of its key. */
const origin = 'parley audit log'
const anchorOrigin = 'parley audit anchor'
const keyName = 'parley-audit'

/** What a checkpoint says: so many entries there were, and the hash of the last one. */
export interface Checkpoint {
  readonly seq: number
  /** Hex. */
  readonly hash: string
  readonly at: number
}

/** Signs and verifies. */
export interface Signer {
  /** The key by which others verify, in the form of C2SP `vkey`. */
  readonly verifier: string
  signCheckpoint(checkpoint: Checkpoint): string
  /** An anchor stands for what was removed because of its age. */
  signAnchor(checkpoint: Checkpoint): string
  /** Returns what is signed, or what is wrong with the text. */
  open(note: string, kind?: 'checkpoint' | 'anchor'): Checkpoint | { readonly wrong: string }
}

/** Opens the key of the installation, and makes it where there is none. It is sealed beside the other secrets, and the same on all nodes. */
export async function openSigner(database: Database<typeof factCommands>, vault: Vault): Promise<Signer> {
  const stored = await database.read.one(factByName, { name: keyFact })
  return signerOf(
    createPrivateKey(vault.open(stored?.value ?? (await database.write('claimFact', { name: keyFact, value: newKey(vault) })))),
  )
}

function newKey(vault: Vault): string {
  return vault.seal(generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString())
}

/** Checkpoints are notes of C2SP (tlog-checkpoint, signed-note): origin, count, hash in base64, then the time; below them the signature. */
export function signerOf(key: KeyObject): Signer {
  const publicKey = createPublicKey(key)
  const raw = Buffer.concat([Buffer.of(1), Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url')])
  const id = createHash('sha256').update(`${keyName}\n`).update(raw).digest().subarray(0, 4)
  const note = (first: string, { seq, hash, at }: Checkpoint) => {
    const text = `${first}\n${seq}\n${Buffer.from(hash, 'hex').toString('base64')}\n${milliseconds(at)}\n`
    return `${text}\n— ${keyName} ${Buffer.concat([id, sign(null, Buffer.from(text), key)]).toString('base64')}\n`
  }
  return {
    verifier: `${keyName}+${id.toString('hex')}+${raw.toString('base64')}`,
    signCheckpoint: (checkpoint) => note(origin, checkpoint),
    signAnchor: (checkpoint) => note(anchorOrigin, checkpoint),
    open(text, kind = 'checkpoint') {
      const parts = noteForm.exec(text)
      if (!parts) return { wrong: 'it has not the form of a checkpoint' }
      const [, body = '', first, count, hash = '', time = '', signature = ''] = parts
      if (first !== (kind === 'anchor' ? anchorOrigin : origin)) return { wrong: `it is no ${kind} of an audit log of Parley` }
      const signed = Buffer.from(signature, 'base64')
      if (!signed.subarray(0, 4).equals(id)) return { wrong: 'it was signed with another key' }
      if (!verify(null, Buffer.from(body), publicKey, signed.subarray(4))) return { wrong: 'its signature is wrong' }
      return { seq: Number(count), hash: Buffer.from(hash, 'base64').toString('hex'), at: parseInstant(time) ?? 0 }
    },
  }
}

/** Whether a text has the form of a checkpoint, whoever signed it. */
export const isCheckpoint = (text: string) => noteForm.test(text)

const noteForm = /^(([^\n]{1,100})\n(\d{1,15})\n([A-Za-z0-9+/]{43}=)\n([^\n]{1,40})\n)\n— parley-audit ([A-Za-z0-9+/]{91}=)\n?$/
