import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Config, ConfigError, secretFile } from '../config.ts'
import { Vault } from '../vault.ts'

/** What decides where the files of an installation are. */
export type Home = Pick<Config, 'database' | 'data_dir'>

/** Throws ConfigError when the target has a key already, and it is not the one that the rows were encrypted with. */
export function refuseOtherKey(to: Home, vault_check: string): void {
  const file = secretFile(to, 'key') as string
  if (!existsSync(file) || opens(file, vault_check)) return
  throw new ConfigError(
    `${file} is not the secret key of the source, so nothing could be decrypted: move it away, or give another --to-data-dir`,
  )
}

/** Copies the secrets that the target lacks; answers what to know about them. */
export function copySecrets(from: Home, to: Home, vault_check: string): string[] {
  return [copyKey(from, to, vault_check), copyOperatorToken(from, to)]
}

function copyKey(from: Home, to: Home, vault_check: string): string {
  const [source, target] = [secretFile(from, 'key') as string, secretFile(to, 'key') as string]
  if (existsSync(target)) return `The secret key is in ${target}.`
  if (!existsSync(source) || !opens(source, vault_check)) {
    return 'The secret key is not in a file: start the server with the same PARLEY_SECRET_KEY as before.'
  }
  copySecret(source, target)
  return `The secret key is copied to ${target}.`
}

function copyOperatorToken(from: Home, to: Home): string {
  const [source, target] = [secretFile(from, 'admin-token') as string, secretFile(to, 'admin-token') as string]
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

function contents(file: string): string {
  return readFileSync(file, 'utf8').trim()
}

function opens(key_file: string, vault_check: string): boolean {
  try {
    return new Vault(contents(key_file)).open(vault_check) === 'parley'
  } catch {
    return false
  }
}

/** It gets its name once it is whole: half a key would be taken for another one. */
function copySecret(source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
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
