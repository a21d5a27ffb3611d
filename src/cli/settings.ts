import { type Command, Option } from 'commander'
import { type Config, readConfig, type SettingTexts, settings } from '../config.ts'
import type { Setting } from '../setting.ts'

/** Made once: a dozen commands have them all. */
const options = settings.flatMap(optionsOf)

/** Adds every setting to a command as an option: whichever command it is, it opens the same installation. */
export function withSettings(command: Command): Command {
  for (const option of options) command.addOption(option)
  return command
}

/** Reads the settings of a command from its flags and the environment; flags win. Throws ConfigError. */
export function configOf(command: Command): Config {
  return readConfig(textsOf(command))
}

/** Returns the settings that a command was given, by flag or variable; flags win. */
export function textsOf(command: Command): SettingTexts {
  const values = command.optsWithGlobals<Record<string, string | boolean | undefined>>()
  const isFlag = (setting: Setting) => command.getOptionValueSourceWithGlobals(attributeOf(setting)) === 'cli'
  const flags = new Set<string>(settings.filter(isFlag).map(({ env }) => env))
  const texts = settings.map((setting) => {
    const value = values[attributeOf(setting)]
    // Commander takes any text of the variable of a switch for true, so that switches are read here.
    return [setting.env, value === undefined ? process.env[setting.env] : String(value)]
  })
  return Object.fromEntries(texts.filter(([env = '', text]) => text && (flags.has(env) || !flags.has(otherWay(env)))))
}

/** A secret is given as it is or in a file: a flag for the one takes the place of a variable for the other. */
function otherWay(env: string): string {
  return env.endsWith('_FILE') ? env.slice(0, -'_FILE'.length) : `${env}_FILE`
}

function optionsOf(setting: Setting): Option[] {
  const { env, flag, description, default: standard, isSwitch } = setting
  const text = `${description} (default: ${standard})`
  if (!isSwitch) return [new Option(`--${flag} <value>`, text).env(env)]
  return [new Option(`--${flag}`, `${text} (--no-${flag}: false) (env: ${env})`), new Option(`--no-${flag}`).hideHelp()]
}

function attributeOf({ flag }: Setting): string {
  return new Option(`--${flag}`).attributeName()
}
