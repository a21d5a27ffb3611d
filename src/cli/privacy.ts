import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { Command, Option } from 'commander'
import { request } from 'undici'
import { ConfigError } from '../config-error.ts'
import { codeOf } from '../errors.ts'
import { onServer, runningServer } from './operator.ts'
import { type Call, parseResponse } from './server.ts'
import { configOf, withSettings } from './settings.ts'
import { printRow } from './terminal.ts'

/** How often the server is asked how far it is. */
const pollMs = 500

interface Person {
  readonly identity?: string
  readonly address?: string
}

interface Erasure {
  readonly id: string
  readonly status: string
  readonly step: string | null
  readonly counts: Readonly<Record<string, number>>
  readonly storage: string | null
  readonly subject_hash: string
  readonly date_retry: string | null
  readonly date_finished: string | null
}

/** `parley erase`: counts what there is of a person, and erases it when it is told to. */
export function eraseCommand(): Command {
  return withPerson(withSettings(new Command('erase').description('erase a person; without --yes it only counts')))
    .addOption(new Option('--messages <mode>', 'what becomes of their messages').choices(['redact', 'delete']).default('redact'))
    .option('--reference <text>', 'your name for the request, which is kept; it must not name the person')
    .option('--yes', 'erase; it cannot be undone')
    .action((account: string, _options, command: Command) => {
      const { identity, address, messages, reference, yes } = command.opts<
        Person & { messages: string; reference?: string; yes?: true }
      >()
      const body = { identity, address, messages, reference, dry_run: yes !== true }
      return onServer(configOf(command), async (call) => {
        const done = await finished(call, `/accounts/${encodeURIComponent(account)}/erasures`, body)
        for (const [name, count] of Object.entries(done.counts)) if (count > 0) printRow(name, count)
        if (!yes) console.log('nothing is erased yet: run it again with --yes')
        else printRow(done.id, done.date_finished, done.subject_hash, `deleted data in the database: ${done.storage}`)
      })
    })
}

/** Starts an erasure and waits until it is done. */
async function finished(call: Call, path: string, body: object): Promise<Erasure> {
  let erasure = await call<Erasure>('POST', path, body)
  let shown: string | null = null
  while (erasure.status !== 'done') {
    // Not on standard output, which programs read.
    if (erasure.step !== null && erasure.step !== shown) console.error(`looking through ${erasure.step}`)
    shown = erasure.step
    if (erasure.status === 'failed') {
      throw new ConfigError(
        `${erasure.id} has failed: the log of the server says why. It goes on where it was, and is tried again at ${erasure.date_retry}`,
      )
    }
    await delay(pollMs)
    erasure = await call<Erasure>('GET', `${path}/${erasure.id}`)
  }
  return erasure
}

/** `parley disclose`: writes what there is of a person, as lines of JSON. */
export function discloseCommand(): Command {
  return withPerson(withSettings(new Command('disclose').description('write what there is of a person, as lines of JSON')))
    .option('--out <file>', 'a new file; by default the standard output')
    .action(async (account: string, _options, command: Command) => {
      const { identity, address, out } = command.opts<Person & { out?: string }>()
      const { url, token } = await runningServer(configOf(command))
      const response = await request(`${url}/admin/v1/accounts/${encodeURIComponent(account)}/disclosures`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ identity, address }),
        headersTimeout: 0,
        // Looking for somebody in many rows takes its time, and what is not found is not sent.
        bodyTimeout: 0,
      }).catch((error: unknown) => {
        throw new ConfigError(`the server at ${url} did not respond (${codeOf(error) ?? 'no reason given'})`, { cause: error })
      })
      if (response.statusCode !== 200) parseResponse(response.statusCode, await response.body.text())
      await write(response.body, out)
    })
}

/** Writes all of it, to a file that is not there yet or the standard output. Throws ConfigError. */
async function write(body: AsyncIterable<Buffer>, out: string | undefined): Promise<void> {
  try {
    if (out !== undefined) {
      // What is known of a person is for its owner alone.
      await pipeline(body, createWriteStream(out, { flags: 'wx', mode: 0o600 }))
      return
    }
    for await (const part of body) if (!process.stdout.write(part)) await once(process.stdout, 'drain')
  } catch (error) {
    throw new ConfigError(`the disclosure could not be written to its end (${codeOf(error) ?? 'no reason given'})`, {
      cause: error,
    })
  }
}

function withPerson(command: Command): Command {
  return command
    .argument('<account>', 'SID of the account')
    .addOption(new Option('--identity <identity>', 'the identity of a user').conflicts('address'))
    .option('--address <address>', 'a phone number, which stands for the person in every channel, or a mail address')
}
