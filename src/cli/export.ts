import { Command } from 'commander'
import { configOf, withSettings } from './settings.ts'

interface Options {
  readonly account?: string
  readonly service?: string
  readonly conversation?: string
  readonly out?: string
}

/** `parley export`: writes what is stored as records that `parley import` reads. */
export function exportCommand(): Command {
  return withSettings(
    new Command('export').description(
      'export everything, an account, a service or a conversation as JSON lines, while the server runs or not',
    ),
  )
    .option('--account <sid>', 'only this account')
    .option('--service <sid>', 'only this service')
    .option('--conversation <sid>', 'only this conversation, with the users in it')
    .option(
      '--out <path>',
      'new folder, or file ending in .jsonl, whose media are put beside it; by default the standard output, without media',
    )
    .action(async (_options, command: Command) => {
      const { account, service, conversation, out = '-' } = command.opts<Options>()
      // Loaded here because the other commands do not need it.
      const { exportTo } = await import('../transfer/export-to.ts')
      const { recordExport } = await import('./operator.ts')
      const config = configOf(command)
      await recordExport(config, { account_sid: account, service_sid: service, conversation_sid: conversation })
      await exportTo({
        config,
        scope: { account, service, conversation },
        out: out === '-' ? null : out,
        now: Date.now(),
        say: (sentence) => console.error(sentence),
      })
    })
}
