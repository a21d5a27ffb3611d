import { Command } from 'commander'
import { ConfigError } from '../config-error.ts'
import { runningServer } from './operator.ts'
import { configOf, withSettings } from './settings.ts'

/** `parley console`: prints a link that signs a browser in. */
export function consoleCommand(): Command {
  return withSettings(new Command('console').description('print a link that opens the console and signs in, once')).action(
    async (_options, command: Command) => {
      const config = configOf(command)
      if (!config.console) throw new ConfigError('PARLEY_CONSOLE is false: there is no console')
      const { call, url } = await runningServer(config)
      const { path } = await call<{ path: string }>('POST', '/session/links')
      console.log(`${config.publicUrl ?? url}${path}`)
    },
  )
}
