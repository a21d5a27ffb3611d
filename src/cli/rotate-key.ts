import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { Command } from 'commander'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { secretFile } from '../data-folders.ts'
import { createOnce, readIfThere } from '../installation/secrets.ts'
import { syncToDisk } from '../media/files.ts'
import { asOperator } from './operator.ts'
import type { Call } from './server.ts'
import { configOf, withSettings } from './settings.ts'

const path = '/secret-key/rotation'

interface Counts {
  readonly current: number
  readonly previous: number
  readonly columns: Readonly<Record<string, number>>
}

interface Batch {
  readonly table: string
  readonly resealed: number
  readonly next: string | null
}

/** What running servers write with the new key is never in the way of a pass; more passes than these mean that one has the old key. */
const maxPasses = 10

/** `parley rotate-key`: replaces the secret key while the server runs. */
export function rotateKeyCommand(): Command {
  return withSettings(
    new Command('rotate-key').description('encrypt what is stored with a new secret key, while the server runs'),
  )
    .option('--check', 'only count what is still encrypted with the previous key')
    .option('--generate', 'make a new key in place of the one in the data folder, which becomes the previous one; then restart')
    .action((_options, command: Command) => {
      const { check = false, generate = false } = command.opts<{ check?: boolean; generate?: boolean }>()
      const config = configOf(command)
      if (generate) return generateKey(config)
      return asOperator(config, (call) => (check ? printCounts(call) : rotate(call, config)))
    })
}

async function printCounts(call: Call): Promise<void> {
  const counts = await call<Counts>('GET', path)
  console.log(`with the secret key     ${counts.current}\nwith the previous key   ${counts.previous}`)
  for (const [column, count] of Object.entries(counts.columns)) console.log(`  ${column}  ${count}`)
}

async function rotate(call: Call, config: Config): Promise<void> {
  for (let pass = 1; pass <= maxPasses; pass++) {
    const resealed = await rotateAll(call)
    console.log(`pass ${pass}: ${resealed} values are encrypted with the new key`)
    if (resealed === 0) return finish(call, config)
  }
  throw new ConfigError(
    'something is still being encrypted with the previous key: restart every server with the new one, and go on',
  )
}

/** Makes one pass. Returns how many values it has encrypted anew. */
async function rotateAll(call: Call): Promise<number> {
  let resealed = 0
  let after: string | null = null
  do {
    const batch: Batch = await call<Batch>('POST', path, { after })
    resealed += batch.resealed
    after = batch.next
  } while (after !== null)
  return resealed
}

async function finish(call: Call, config: Config): Promise<void> {
  const { previous, date_over } = await call<Counts & { date_over: string }>('POST', `${path}/finish`, {})
  if (previous > 0)
    throw new ConfigError(`${previous} values have just been encrypted with the previous key: run the command again`)
  const file = secretFile(config, 'key-previous')
  const kept = config.previousSecretKey === null && file !== null && existsSync(file) ? file : 'PARLEY_SECRET_KEY_PREVIOUS'
  console.log(
    `Nothing needs the previous key any more: remove ${kept} and restart every server. From ${date_over} on nothing that it has ` +
      'signed is in use; before, links to media that carriers have, sessions of the console and pages of lists may end early. ' +
      'Keep it with the backups that were made until now.',
  )
}

/** Replaces the key in its file. Throws ConfigError where there is none, or another replacement is not finished. */
async function generateKey(config: Config): Promise<void> {
  const [file, previous] = [secretFile(config, 'key'), secretFile(config, 'key-previous')]
  const key = readIfThere(file)
  if (config.secretKey !== null || config.previousSecretKey !== null || file === null || previous === null || key === null) {
    throw new ConfigError(
      'the secret key is not in a file of the data folder: make one (openssl rand -hex 32), and start every server with it as ' +
        'PARLEY_SECRET_KEY and the one before as PARLEY_SECRET_KEY_PREVIOUS',
    )
  }
  // One that is equal was left by a command that was interrupted here.
  if (existsSync(previous) && readFileSync(previous, 'utf8').trim() !== key) {
    throw new ConfigError(
      `${previous} is there: the key is being replaced already. Finish it with parley rotate-key, then delete that file`,
    )
  }
  createOnce(previous, `${key}\n`)
  await syncToDisk(previous)
  const draft = `${file}.new`
  writeFileSync(draft, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })
  await syncToDisk(draft)
  renameSync(draft, file)
  console.log(`There is a new key in ${file}; the one before is in ${previous}.\nRestart the server, then run parley rotate-key.`)
}
