import { type Command, Option } from 'commander'
import { type Config, type Given, readConfig, settings } from '../config.ts'

/** Every setting is a flag of every command: they all open the same installation. */
export function withSettings(command: Command): Command {
  for (const { env, flag, standard, meaning } of settings) {
    command.addOption(new Option(`--${flag} <value>`, `${meaning} (default: ${standard})`).env(env))
  }
  return command
}

/** Flags win over the environment. */
export function configOf(command: Command): Config {
  const values = command.optsWithGlobals<Record<string, string | undefined>>()
  const given: Record<string, string> = {}
  for (const { env, flag } of settings) {
    const value = values[flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())]
    if (value !== undefined) given[env] = value
  }
  return readConfig(given as Given)
}
