import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config.ts'
import { codeOf } from '../errors.ts'
import { packageVersion } from '../package.ts'
import { accountsCommand } from './accounts.ts'
import { backupCommand } from './backup.ts'
import { channelsCommand } from './channels.ts'
import { clockCommand } from './clock.ts'
import { copyCommand } from './copy.ts'
import { deliveriesCommand, redeliverCommand } from './deliveries.ts'
import { envCommand } from './env.ts'
import { execCommand } from './exec.ts'
import { inboundCommand } from './inbound.ts'
import { keysCommand } from './keys.ts'
import { listenCommand } from './listen.ts'
import { migrateCommand } from './migrate.ts'
import { configOf, withSettings } from './settings.ts'
import { printable } from './terminal.ts'
import { unknownSettings } from './unknown-settings.ts'

process.title = 'parley'

const program = new Command('parley')
  .description('A self-hosted server that speaks the Twilio Conversations REST API v1')
  .version(packageVersion())
  // What follows a command of another program belongs to that program.
  .enablePositionalOptions()
  .showHelpAfterError('(run parley --help for the list of commands)')

program.addCommand(
  withSettings(new Command('serve').description('start the server')).action(async (_options, command: Command) => {
    const config = configOf(command)
    // Loaded here because the other commands do not need it.
    const { serve } = await import('./serve.ts')
    return serve(config)
  }),
)
program.addCommand(execCommand())
program.addCommand(envCommand())
program.addCommand(accountsCommand())
program.addCommand(keysCommand())
program.addCommand(channelsCommand())
program.addCommand(inboundCommand())
program.addCommand(deliveriesCommand())
program.addCommand(redeliverCommand())
program.addCommand(listenCommand())
program.addCommand(clockCommand())
program.addCommand(backupCommand())
program.addCommand(migrateCommand())
program.addCommand(copyCommand())

// Whoever reads the output has had enough (`parley accounts list | head`).
process.stdout.on('error', (error) => {
  if (codeOf(error) === 'EPIPE') process.exit()
  console.error(`parley: the output cannot be written (${codeOf(error)})`)
  process.exit(1)
})

// Otherwise it exits at once: before it is known that the help could not be written.
throwInsteadOfExit(program)
program.hook('preAction', () => {
  for (const sentence of unknownSettings(process.env)) console.error(`parley: ${sentence}`)
})

// Not awaited here: a bundle of CommonJS modules has no top-level await.
program.parseAsync().catch((error: unknown) => {
  if (error instanceof ConfigError) console.error(`parley: ${printable(error.message)}`)
  else if (!(error instanceof CommanderError)) throw error
  process.exitCode = error instanceof CommanderError ? error.exitCode : 1
})

function throwInsteadOfExit(command: Command): void {
  command.exitOverride()
  for (const subcommand of command.commands) throwInsteadOfExit(subcommand)
}
