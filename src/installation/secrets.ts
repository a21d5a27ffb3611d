import { hash, randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Config, ConfigError, mediaFolder, secretFile } from '../config.ts'
import { codeOf } from '../errors.ts'
import { randomToken } from '../sids.ts'
import type { Database } from '../storage/database.ts'
import { factByName, type factCommands } from '../storage/facts.ts'
import { Vault } from '../vault.ts'

/** The fact by which the secret key of a database is recognised, see `Vault.createCheck`. */
export const vaultCheck = 'vault_check'

const wrongKey =
  'the secret key is not the one that this database was created with: restore its .key file, or set PARLEY_SECRET_KEY'

/** Opens the vault of the installation. Generates a key only for a database that has none yet. Throws ConfigError. */
export async function openVault(config: Config, database: Database<typeof factCommands>): Promise<Vault> {
  const file = secretFile(config, 'key')
  const sealed = await database.read.one(factByName, { name: vaultCheck })
  if (sealed && config.secretKey === null && !(file && existsSync(file))) throw new ConfigError(wrongKey)
  const vault = new Vault(config.secretKey ?? loadOrCreateSecret(file))
  const stored = await database.write('claimFact', { name: vaultCheck, value: vault.createCheck() })
  if (!vault.matchesCheck(stored)) throw new ConfigError(wrongKey)
  return vault
}

/** Returns the secret in `file`, generated at first start and readable by its owner only. A new one without a file. */
export function loadOrCreateSecret(file: string | null): string {
  if (file === null) return newSecret()
  if (!existsSync(file)) createOnce(file, `${newSecret()}\n`)
  return readSecret(file)
}

/** Creates a file unless it exists. It gets its name once it is complete: nodes that start at once all read the same content. */
export function createOnce(file: string, content: string): void {
  const folder = dirname(file)
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
  const draft = `${file}.${randomToken()}`
  writeFileSync(draft, content, { mode: 0o600, flag: 'wx' })
  try {
    linkSync(draft, file)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    unlinkSync(draft)
  }
}

function readSecret(file: string): string {
  const secret = readFileSync(file, 'utf8').trim()
  if (!/^[0-9a-f]{64}$/.test(secret)) throw new ConfigError(`${file} must contain 64 hex digits: restore it from a backup`)
  return secret
}

function newSecret(): string {
  return randomBytes(32).toString('hex')
}

/**
 * Marks the media folder as this installation's: the cleanup of another one would delete its files as leftovers.
 * Throws ConfigError when it belongs to another installation.
 */
export async function claimMediaFolder(config: Config, database: Database<typeof factCommands>): Promise<void> {
  const folder = mediaFolder(config)
  const sealed = await database.read.one(factByName, { name: vaultCheck })
  if (folder === null || !sealed) return
  const marker = `${hash('sha256', sealed.value, 'hex')}\n`
  const file = join(folder, 'installation')
  if (!existsSync(file)) createOnce(file, marker)
  if (readFileSync(file, 'utf8') !== marker) {
    throw new ConfigError(`${folder} contains the media of another installation: set PARLEY_DATA_DIR to another folder`)
  }
}
