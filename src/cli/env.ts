import { Command, Option } from 'commander'
import type { Variables } from '../gateway/variables.ts'
import { entranceOf, variablesOf } from './gateway.ts'
import { runningServer } from './operator.ts'
import { configOf, withSettings } from './settings.ts'

/** How each kind of reader wants its variables. */
const formats = {
  sh: {
    set: (name: string, value: string) => `export ${name}='${value.replaceAll("'", "'\\''")}'`,
    unset: (name: string) => `unset ${name}`,
  },
  fish: {
    set: (name: string, value: string) => `set -gx ${name} '${value.replace(/[\\']/g, '\\$&')}'`,
    unset: (name: string) => `set -e ${name}`,
  },
  /** For files of variables, which cannot remove one: empty, they count for nothing. */
  dotenv: {
    set: (name: string, value: string) => `${name}=${value}`,
    unset: (name: string) => `${name}=`,
  },
}

type Format = keyof typeof formats

export function envCommand(): Command {
  return withSettings(
    new Command('env')
      .description("print the variables with which a program's SDK talks to the running server instead of Twilio")
      .addOption(new Option('--format <format>', 'for which reader').choices(Object.keys(formats)).default('sh'))
      .option('--account <sid>', 'the account that the program gets (default: the first account)'),
  ).action(async ({ format, account }: { format: Format; account?: string }, command: Command) => {
    const config = configOf(command)
    const entrance = await entranceOf(await runningServer(config), account)
    console.log(render(await variablesOf(config, entrance), format))
  })
}

function render({ set, unset }: Variables, format: Format): string {
  const writer = formats[format]
  return [...Object.entries(set).map(([name, value]) => writer.set(name, value)), ...unset.map(writer.unset)].join('\n')
}
