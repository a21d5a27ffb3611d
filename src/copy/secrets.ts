import { chmodSync, closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { secretFile } from '../data-folders.ts'
import { makeFolder } from '../folders.ts'
import { Vault } from '../vault.ts'

/** Where an installation is: its database and its files. */
export type Location = Pick<Config, 'database' | 'dataDir'>

/** Throws ConfigError when the target has a secret key that is not the one that the rows were encrypted with. */
export function refuseOtherKey(to: Location, vaultCheck: string): void {
  const file = fileOf(to, 'key')
  if (!existsSync(file) || opens(to, vaultCheck)) return
  throw new ConfigError(
    `${file} is not the secret key of the source, so nothing could be decrypted: move it away, or give another --to-data-dir`,
  )
}

/** Copies the secrets that the target lacks; returns a sentence about each for the operator. */
export function copySecrets(from: Location, to: Location, vaultCheck: string): string[] {
  return [copyKey(from, to, vaultCheck), copyOperatorToken(from, to)]
}

function copyKey(from: Location, to: Location, vaultCheck: string): string {
  const [source, target] = [fileOf(from, 'key'), fileOf(to, 'key')]
  if (existsSync(target)) return `The secret key is in ${target}.`
  if (!existsSync(source) || !opens(from, vaultCheck)) {
    return 'The secret key is not in a file: start the server with the same PARLEY_SECRET_KEY as before.'
  }
  const [previous, previousTarget] = [fileOf(from, 'key-previous'), fileOf(to, 'key-previous')]
  if (existsSync(previous)) copySecret(previous, previousTarget)
  copySecret(source, target)
  return `The secret key is copied to ${target}.`
}

function copyOperatorToken(from: Location, to: Location): string {
  const [source, target] = [fileOf(from, 'admin-token'), fileOf(to, 'admin-token')]
  if (existsSync(target)) {
    const same = resolve(source) === resolve(target) || (existsSync(source) && contents(source) === contents(target))
    return same ? `The operator token is in ${target}.` : `The operator token is the one that was in ${target} already.`
  }
  if (!existsSync(source)) {
    return 'The operator token is not in a file: start the server with the same PARLEY_ADMIN_TOKEN as before, or it makes one.'
  }
  copySecret(source, target)
  return `The operator token is copied to ${target}.`
}

function fileOf(location: Location, kind: Parameters<typeof secretFile>[1]): string {
  const file = secretFile(location, kind)
  if (file === null) throw new Error('a database in memory has no files')
  return file
}

function contents(file: string): string {
  return readFileSync(file, 'utf8').trim()
}

/** Whether the stored key, or the one that it takes the place of, is that of the database. */
function opens(location: Location, vaultCheck: string): boolean {
  const previous = fileOf(location, 'key-previous')
  try {
    const vault = new Vault(contents(fileOf(location, 'key')), existsSync(previous) ? contents(previous) : null)
    return vault.matchesCheck(vaultCheck)
  } catch {
    return false
  }
}

/** Renames the file once it is complete: a partial key would be taken for another key. */
function copySecret(source: string, target: string): void {
  makeFolder(dirname(target))
  const arriving = `${target}.copying`
  const file = openSync(arriving, 'w', 0o600)
  try {
    writeSync(file, `${contents(source)}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  chmodSync(arriving, 0o600)
  renameSync(arriving, target)
}
