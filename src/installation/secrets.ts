import { hash, randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Config, ConfigError, mediaFolder, secretFile } from '../config.ts'
import { randomToken } from '../sids.ts'
import type { Database } from '../storage/database.ts'
import { factByName, type factCommands } from '../storage/facts.ts'
import { Vault } from '../vault.ts'

/** Sealed by the key that the database was made with. */
const vault_check = 'vault_check'

const other_key = 'the secret key is not the one that this database was made with: restore its .key file or set PARLEY_SECRET_KEY'

/** The vault of the installation. A key is made with its database, never for one that has another. Throws ConfigError. */
export async function openVault(config: Config, database: Database<typeof factCommands>): Promise<Vault> {
  const file = secretFile(config, 'key')
  const sealed = await database.read.one(factByName, { name: vault_check })
  if (sealed && config.secret_key === null && !(file && existsSync(file))) throw new ConfigError(other_key)
  const vault = new Vault(config.secret_key ?? keptSecret(file))
  const kept = await database.write('claimFact', { name: vault_check, value: vault.seal('parley') })
  try {
    if (vault.open(kept) === 'parley') return vault
  } catch {
    // Told below.
  }
  throw new ConfigError(other_key)
}

/** A secret from its file, made at first start and readable by its owner alone. */
export function keptSecret(file: string | null): string {
  if (file === null) return newSecret()
  const kept = readSecret(file)
  if (kept !== undefined) return kept
  makeOnce(file, `${newSecret()}\n`)
  return readSecret(file) as string
}

/** Whole before it has its name: of several nodes that start at once each reads the same one. */
function makeOnce(file: string, content: string): void {
  const folder = dirname(file)
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
  const draft = `${file}.${randomToken()}`
  writeFileSync(draft, content, { mode: 0o600, flag: 'wx' })
  try {
    linkSync(draft, file)
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(draft)
  }
}

function readSecret(file: string): string | undefined {
  if (!existsSync(file)) return undefined
  const kept = readFileSync(file, 'utf8').trim()
  if (!/^[0-9a-f]{64}$/.test(kept)) throw new ConfigError(`${file} must hold 64 hex digits: restore it from a backup`)
  return kept
}

function newSecret(): string {
  return randomBytes(32).toString('hex')
}

/**
 * The media folder belongs to one installation: another one would take its files for leftovers and delete them.
 * Throws ConfigError when it is somebody else's.
 */
export async function claimMediaFolder(config: Config, database: Database<typeof factCommands>): Promise<void> {
  const folder = mediaFolder(config)
  const sealed = await database.read.one(factByName, { name: vault_check })
  if (folder === null || !sealed) return
  const mine = `${hash('sha256', sealed.value, 'hex')}\n`
  const file = join(folder, 'installation')
  if (!existsSync(file)) makeOnce(file, mine)
  if (readFileSync(file, 'utf8') !== mine) {
    throw new ConfigError(`${folder} holds the media of another installation: give this one a PARLEY_DATA_DIR of its own`)
  }
}
