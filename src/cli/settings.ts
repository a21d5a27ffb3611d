import { type Command, Option } from 'commander'
import { type Config, readConfig, type Setting, settings } from '../config.ts'

/** Adds every setting to a command as an option: whichever command it is, it opens the same installation. */
export function withSettings(command: Command): Command {
  for (const setting of settings) command.addOption(optionOf(setting))
  return command
}

/** Reads the settings of a command from its flags and the environment; flags win. Throws ConfigError. */
export function configOf(command: Command): Config {
  const values = command.optsWithGlobals<Record<string, string | undefined>>()
  return readConfig(Object.fromEntries(settings.map((setting) => [setting.env, values[optionOf(setting).attributeName()]])))
}

function optionOf({ env, flag, description, default: standard }: Setting): Option {
  return new Option(`--${flag} <value>`, `${description} (default: ${standard})`).env(env)
}
