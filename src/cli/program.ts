import { Command, CommanderError } from 'commander'
import { codeOf } from '../errors.ts'
import { packageVersion } from '../package.ts'
import { unknownSettings } from '../unknown-settings.ts'
import { isJsonWanted, jsonOutput, type Output, textOutput } from './output.ts'
import { configOf, withSettings } from './settings.ts'

process.title = 'parley'

/** In the order of the help. Only the one that is run is loaded: the commands load a client, `exec` a server, `serve` no client. */
const commands: Readonly<Record<string, (output: Output) => Promise<Command>>> = {
  serve: async (output) => serveCommand(output),
  exec: async () => (await import('./exec.ts')).execCommand(),
  env: async () => (await import('./env.ts')).envCommand(),
  accounts: async () => (await import('./accounts.ts')).accountsCommand(),
  keys: async () => (await import('./keys.ts')).keysCommand(),
  operators: async () => (await import('./operators.ts')).operatorsCommand(),
  channels: async () => (await import('./channels.ts')).channelsCommand(),
  inbound: async () => (await import('./inbound.ts')).inboundCommand(),
  deliveries: async () => (await import('./deliveries.ts')).deliveriesCommand(),
  redeliver: async () => (await import('./deliveries.ts')).redeliverCommand(),
  listen: async () => (await import('./listen.ts')).listenCommand(),
  clock: async () => (await import('./clock.ts')).clockCommand(),
  erase: async () => (await import('./privacy.ts')).eraseCommand(),
  disclose: async () => (await import('./privacy.ts')).discloseCommand(),
  audit: async () => (await import('./audit.ts')).auditCommand(),
  console: async () => (await import('./console.ts')).consoleCommand(),
  'rotate-key': async () => (await import('./rotate-key.ts')).rotateKeyCommand(),
  media: async () => (await import('./media.ts')).mediaCommand(),
  backup: async () => (await import('./backup.ts')).backupCommand(),
  export: async () => (await import('./export.ts')).exportCommand(),
  import: async () => (await import('./import.ts')).importCommand(),
  mirror: async (output) => (await import('./mirror.ts')).mirrorCommand(output),
  token: async () => (await import('./token.ts')).tokenCommand(),
  migrate: async () => (await import('./migrate.ts')).migrateCommand(),
  copy: async () => (await import('./copy.ts')).copyCommand(),
}

// Whoever reads the output has had enough (`parley accounts list | head`).
process.stdout.on('error', (error) => {
  if (codeOf(error) === 'EPIPE') process.exit()
  console.error(`parley: the output cannot be written (${codeOf(error)})`)
  process.exit(1)
})

// Not awaited here: a bundle of CommonJS modules has no top-level await.
runAndSay(process.argv)

async function runAndSay(argv: readonly string[]): Promise<void> {
  const isJson = argv[2] === 'serve' && isJsonWanted(argv, process.env, process.stdout.isTTY)
  const output = isJson ? await jsonOutput() : textOutput
  await run(argv, output).catch((error: unknown) => {
    output.failed(error)
    process.exitCode = error instanceof CommanderError ? error.exitCode : 1
  })
}

async function run(argv: readonly string[], output: Output): Promise<void> {
  const program = new Command('parley')
    .description('A self-hosted server that speaks the Twilio Conversations REST API v1')
    .version(packageVersion())
    // What follows a command of another program belongs to that program.
    .enablePositionalOptions()
    .showHelpAfterError('(run parley --help for the list of commands)')
  const [, , name = ''] = argv
  // Help, and a word that is no command, need all of them.
  const loaders = Object.hasOwn(commands, name) ? [commands[name]] : Object.values(commands)
  for (const load of loaders) if (load) program.addCommand(await load(output))
  // Otherwise it exits at once: before it is known that the help could not be written.
  prepare(program, output)
  program.hook('preAction', () => {
    for (const sentence of unknownSettings(process.env)) output.warn(sentence)
  })
  await program.parseAsync(argv)
}

function serveCommand(output: Output): Command {
  return withSettings(new Command('serve').description('start the server')).action(async (_options, command: Command) => {
    const config = configOf(command)
    const { serve } = await import('./serve.ts')
    return serve(config, output)
  })
}

/** Makes a command throw instead of ending the process, and say what is wrong with its options where everything is said. */
function prepare(command: Command, output: Output): void {
  command.exitOverride()
  output.adopt(command)
  for (const subcommand of command.commands) prepare(subcommand, output)
}
