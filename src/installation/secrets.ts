import { hash, randomBytes } from 'node:crypto'
import { existsSync, linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { mediaFolder, secretFile } from '../data-folders.ts'
import { codeOf } from '../errors.ts'
import { makeFolder } from '../folders.ts'
import { randomToken } from '../sids.ts'
import type { Database } from '../storage/database.ts'
import { type Facts, factByName, type factCommands, factsOf } from '../storage/facts.ts'
import { Vault } from '../vault.ts'

/** The fact by which the secret key of a database is recognised, see `Vault.createCheck`. */
export const vaultCheck = 'vault_check'

/** In the media folder: names the installation that it belongs to. */
const markerFile = 'installation'

const wrongKey =
  'the secret key is not the one that this database was created with: restore its .key file, or set PARLEY_SECRET_KEY. If it has ' +
  'been replaced, set PARLEY_SECRET_KEY_PREVIOUS to the one before'

/** While the secret key is replaced: a text by which the key before is recognised, see `Vault.createPreviousCheck`. */
export const previousVaultCheck = 'vault_check_previous'
/** What remains of former secret keys, see `Vault.retire`. */
export const retiredKeys = 'vault_retired'
/** The content of the marker in the media folder, once it no longer follows from the check. */
export const mediaMarker = 'media_marker'

const previousWanted =
  'the secret key of this database is being replaced, and something may still be encrypted with the one before: set ' +
  'PARLEY_SECRET_KEY_PREVIOUS to it, and run parley rotate-key'

type KeyConfig = Pick<Config, 'database' | 'dataDir' | 'secretKey' | 'previousSecretKey'>

/** Returns the vault of the keys that are given or stored; null when there is none. Throws ConfigError when a file has something else. */
export function storedVault(config: KeyConfig): Vault | null {
  const key = config.secretKey ?? readIfThere(secretFile(config, 'key'))
  return key === null ? null : new Vault(key, previousKeyOf(config))
}

function previousKeyOf(config: KeyConfig): string | null {
  return config.previousSecretKey ?? readIfThere(secretFile(config, 'key-previous'))
}

/** Throws ConfigError when a vault cannot open all of a database. */
export function refuseOtherKeys(vault: Vault | null, facts: Facts): void {
  const check = facts.get(vaultCheck)
  if (check !== undefined && !vault?.matchesCheck(check)) throw new ConfigError(wrongKey)
  const previous = facts.get(previousVaultCheck)
  if (previous !== undefined && !vault?.matchesCheck(previous)) throw new ConfigError(previousWanted)
}

/** Throws ConfigError when the secrets are not those of the database or a file of one has something else in it. */
export function refuseOtherSecrets(config: Config, facts: Facts | null): void {
  if (config.adminToken === null) readIfThere(secretFile(config, 'admin-token'))
  const vault = storedVault(config)
  if (facts) refuseOtherKeys(vault, facts)
}

/** Returns what the media folder says about the installation that it belongs to; null when it is nobody's. */
export function readMediaMarker(config: Config): string | null {
  const folder = mediaFolder(config)
  const file = folder === null ? '' : join(folder, markerFile)
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}

/** Throws ConfigError when the media folder belongs to another installation. */
export function refuseOthersMedia(config: Config, facts: Facts | null, marker: string | null): void {
  if (marker !== null && (facts === null || marker !== markerIn(facts))) throw new ConfigError(othersMedia(config))
}

/** Opens the vault of the installation. Generates a key only for a database that has none yet. Throws ConfigError. */
export async function openVault(config: Config, database: Database<typeof factCommands>): Promise<Vault> {
  const vault = new Vault(config.secretKey ?? loadOrCreateSecret(secretFile(config, 'key')), previousKeyOf(config))
  // Of nodes that start at once with different keys, one is the first.
  const check = await database.write('claimFact', { name: vaultCheck, value: vault.createCheck() })
  const named = async (name: string) => (await database.read.one(factByName, { name }))?.value
  const previous = await named(previousVaultCheck)
  refuseOtherKeys(
    vault,
    new Map([[vaultCheck, check], ...(previous === undefined ? [] : [[previousVaultCheck, previous] as const])]),
  )
  const retired = await named(retiredKeys)
  if (retired !== undefined) vault.restoreRetired(retired)
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
  const marker = await storedMediaMarker(database)
  if (folder === null || marker === '') return
  const file = join(folder, markerFile)
  if (!existsSync(file)) createOnce(file, marker)
  if (readFileSync(file, 'utf8') !== marker) throw new ConfigError(othersMedia(config))
}

/** Returns what names the installation where its media are; empty for a database that has no key yet. */
export async function storedMediaMarker({ read }: Pick<Database<typeof factCommands>, 'read'>): Promise<string> {
  const stored = await Promise.all([vaultCheck, mediaMarker].map((name) => read.one(factByName, { name })))
  return markerIn(factsOf(stored.filter((fact) => fact !== undefined))) ?? ''
}

/** Returns the content of the marker in the media folder; undefined before there is an installation. */
export function markerIn(facts: Facts): string | undefined {
  const check = facts.get(vaultCheck)
  return facts.get(mediaMarker) ?? (check && `${hash('sha256', check, 'hex')}\n`)
}

function othersMedia(config: Config): string {
  return `${mediaFolder(config)} contains the media of another installation: set PARLEY_DATA_DIR to another folder`
}
