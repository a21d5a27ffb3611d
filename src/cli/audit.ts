import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { Command, Option } from 'commander'
import { type ShownEntry, toCef } from '../audit/cef.ts'
import { ConfigError } from '../config-error.ts'
import { codeOf } from '../errors.ts'
import { asOperator } from './operator.ts'
import type { Call } from './server.ts'
import { configOf, withSettings } from './settings.ts'

interface Filter {
  readonly account?: string
  readonly actor?: string
  readonly action?: string
  readonly target?: string
  readonly outcome?: string
  readonly from?: string
  readonly to?: string
}

interface Page {
  readonly entries: readonly ShownEntry[]
  readonly next_after: number | null
}

/** `parley audit …`: exports and verifies the log of what operators do, and signs where it stands. */
export function auditCommand(): Command {
  const audit = new Command('audit').description('export or verify the log of what operators do, or sign where it stands')
  audit.addCommand(exportCommand())
  audit.addCommand(
    withSettings(new Command('verify').description('verify that no entry was changed, moved or removed; ends with 1 if one was'))
      .option('--against <file>', 'a checkpoint that was kept elsewhere')
      .action((_options, command: Command) => {
        const { against } = command.opts<{ against?: string }>()
        const checkpoint = against === undefined ? undefined : textIn(against)
        return asOperator(configOf(command), async (call) => {
          const found = await call<{ ok: boolean; finding: string }>('POST', '/audit/verify', { checkpoint })
          if (!found.ok) throw new ConfigError(`the audit log is not as it was written: ${found.finding}`)
          console.log(found.finding)
        })
      }),
  )
  audit.addCommand(
    withSettings(new Command('checkpoint').description('sign where the log stands; keep it where nobody can change it')).action(
      (_options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const { checkpoint, verifier } = await call<{ checkpoint: string; verifier: string }>('POST', '/audit/checkpoints')
          process.stdout.write(checkpoint)
          console.error(`verifier: ${verifier}`)
        }),
    ),
  )
  return audit
}

function exportCommand(): Command {
  return withSettings(new Command('export').description('export the entries in order, a line each'))
    .addOption(new Option('--format <format>', 'JSON, or Common Event Format').choices(['json', 'cef']).default('json'))
    .option('--account <sid>', 'only acts in this account')
    .option('--actor <id>', 'only those of this actor')
    .option('--action <name>', 'only acts of this name, such as api_key.created')
    .option('--target <sid>', 'only acts on this')
    .addOption(new Option('--outcome <outcome>', 'only those that ended so').choices(['success', 'refused', 'failed']))
    .option('--from <date>', 'from this date or instant on')
    .option('--to <date>', 'up to this date or instant')
    .option('--out <file>', 'a new file; by default the standard output')
    .action((_options, command: Command) => {
      const { format, out, ...filter } = command.opts<Filter & { format: 'json' | 'cef'; out?: string }>()
      const line = format === 'cef' ? toCef : (entry: ShownEntry) => JSON.stringify(entry)
      return asOperator(configOf(command), async (call) => {
        if (out === undefined) {
          for await (const entry of entriesOf(call, filter)) process.stdout.write(`${line(entry)}\n`)
          return
        }
        const file = await open(out, 'wx', 0o600).catch((error: unknown) => {
          throw new ConfigError(`${out} cannot be written (${codeOf(error)}): name a new file`, { cause: error })
        })
        try {
          for await (const entry of entriesOf(call, filter)) await file.write(`${line(entry)}\n`)
        } finally {
          await file.close()
        }
      })
    })
}

async function* entriesOf(call: Call, filter: Filter): AsyncGenerator<ShownEntry> {
  const { account, actor, action, target, outcome, from, to } = filter
  const given = { account_sid: account, actor_id: actor, action, target_sid: target, outcome, from, to, limit: '1000' }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, value)
  for (let after: number | null = 0; after !== null; ) {
    query.set('after', String(after))
    const page: Page = await call('GET', `/audit?${query}`)
    yield* page.entries
    after = page.next_after
  }
}

/** Returns what is in a file. Throws ConfigError. */
function textIn(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`${file} cannot be read (${codeOf(error)})`, { cause: error })
  }
}
