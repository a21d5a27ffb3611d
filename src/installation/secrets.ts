import { hash, randomBytes } from 'node:crypto'
import { existsSync, linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Config, ConfigError, mediaFolder, secretFile } from '../config.ts'
import { codeOf } from '../errors.ts'
import { makeFolder } from '../folders.ts'
import { randomToken } from '../sids.ts'
import type { Database } from '../storage/database.ts'
import { type Facts, factByName, type factCommands } from '../storage/facts.ts'
import { Vault } from '../vault.ts'

/** The fact by which the secret key of a database is recognised, see `Vault.createCheck`. */
export const vaultCheck = 'vault_check'

/** In the media folder: names the installation that it belongs to. */
const markerFile = 'installation'

const wrongKey =
  'the secret key is not the one that this database was created with: restore its .key file, or set PARLEY_SECRET_KEY'

/** Throws ConfigError when the secrets are not those of the database or a file of one has something else in it. */
export function refuseOtherSecrets(config: Config, facts: Facts | null): void {
  if (config.adminToken === null) readIfThere(secretFile(config, 'admin-token'))
  const key = config.secretKey ?? readIfThere(secretFile(config, 'key'))
  const sealed = facts?.get(vaultCheck)
  if (sealed !== undefined && (key === null || !new Vault(key).matchesCheck(sealed))) throw new ConfigError(wrongKey)
}

/** Returns what the media folder says about the installation that it belongs to; null when it is nobody's. */
export function readMediaMarker(config: Config): string | null {
  const folder = mediaFolder(config)
  const file = folder === null ? '' : join(folder, markerFile)
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}

/** Throws ConfigError when the media folder belongs to another installation. */
export function refuseOthersMedia(config: Config, facts: Facts | null, marker: string | null): void {
  const sealed = facts?.get(vaultCheck)
  if (marker !== null && (sealed === undefined || marker !== markerOf(sealed))) throw new ConfigError(othersMedia(config))
}

/** Opens the vault of the installation. Generates a key only for a database that has none yet. Throws ConfigError. */
export async function openVault(config: Config, database: Database<typeof factCommands>): Promise<Vault> {
  const vault = new Vault(config.secretKey ?? loadOrCreateSecret(secretFile(config, 'key')))
  // Of nodes that start at once with different keys, one is the first.
  const stored = await database.write('claimFact', { name: vaultCheck, value: vault.createCheck() })
  if (!vault.matchesCheck(stored)) throw new ConfigError(wrongKey)
  return vault
}

/** Returns the secret in `file`; null when there is no such file. Throws ConfigError when it has something else in it. */
export function readIfThere(file: string | null): string | null {
  return file !== null && existsSync(file) ? readSecret(file) : null
}

/** Returns the secret in `file`, generated at first start and readable by its owner only. A new one without a file. */
export function loadOrCreateSecret(file: string | null): string {
  if (file === null) return newSecret()
  if (!existsSync(file)) createOnce(file, `${newSecret()}\n`)
  return readSecret(file)
}

/** Creates a file unless it exists. It gets its name once it is complete: nodes that start at once all read the same content. */
export function createOnce(file: string, content: string): void {
  makeFolder(dirname(file))
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
  const marker = markerOf(sealed.value)
  const file = join(folder, markerFile)
  if (!existsSync(file)) createOnce(file, marker)
  if (readFileSync(file, 'utf8') !== marker) throw new ConfigError(othersMedia(config))
}

function markerOf(sealed: string): string {
  return `${hash('sha256', sealed, 'hex')}\n`
}

function othersMedia(config: Config): string {
  return `${mediaFolder(config)} contains the media of another installation: set PARLEY_DATA_DIR to another folder`
}
