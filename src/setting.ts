import { ConfigError } from './config-error.ts'
import { readSecretFile } from './secret-file.ts'
import { type Parse, trueOrFalse } from './setting-values.ts'

/** A setting as the command line and the documentation show it. */
export interface Setting {
  readonly env: string
  /** The environment variable in lower case, with hyphens and without `PARLEY_`. */
  readonly flag: string
  readonly description: string
  /** As text; in words where it is not a constant. */
  readonly default: string
  /** Whether it is true or false: its flag takes no value, and `--no-<flag>` is false. */
  readonly isSwitch: boolean
}

/** What one entry declares: `T` is the type of a given value, `D` that of a default which is not a constant. */
interface Declaration<Env, T, D> {
  readonly env: Env
  readonly description: string
  /** A text that `parse` accepts, or a description and a function of `HOST`, the only setting that another one depends on. */
  readonly default: string | { readonly words: string; readonly value: (host: string) => D }
  readonly parse: Parse<T>
}

export interface Declared<Env extends string, V> extends Setting {
  readonly env: Env
  /** Returns the value of the text that is given, or the default when it is empty or absent. Throws ConfigError. */
  readonly read: (given: Given, host: string) => V
}

/** A setting that may be given as a file, too. */
export interface Secret<Env extends string, V> extends Declared<Env, V> {
  readonly file: Setting & { readonly env: `${Env}_FILE` }
}

/** Texts, by environment variable. */
type Given = Readonly<Record<string, string | undefined>>

export function declare<const Env extends string, T, D = T>(declaration: Declaration<Env, T, D>): Declared<Env, T | D> {
  const { env, description, default: standard, parse } = declaration
  const constant = typeof standard === 'string'
  const parser: unknown = parse
  return {
    env,
    flag: flagOf(env),
    description,
    default: constant ? standard : standard.words,
    isSwitch: parser === trueOrFalse,
    read: (given, host) => {
      const text = given[env]
      if (text) return parse(text, env)
      return constant ? parse(standard, env) : standard.value(host)
    },
  }
}

/** Declares a setting that may instead be the content of a file, named by a variable with `_FILE` at its end. Errors show no value. */
export function secret<const Env extends string, T, D = T>(declaration: Declaration<Env, T, D>): Secret<Env, T | D> {
  const { env, parse } = declaration
  const declared = declare(declaration)
  const fileEnv = `${env}_FILE` as const
  const file = {
    env: fileEnv,
    flag: flagOf(fileEnv),
    description: `file that contains the value of ${env} and nothing else`,
    default: 'none',
    isSwitch: false,
  }
  const read = (given: Given, host: string) => {
    const path = given[fileEnv]
    if (!path) return declared.read(given, host)
    if (given[env]) throw new ConfigError(`${env} and ${fileEnv} are both set: leave out one of them`)
    const found = readSecretFile(path)
    if ('problem' in found) throw new ConfigError(`${fileEnv}: ${path} ${found.problem}`)
    return parse(found.secret, `the content of ${path} (${fileEnv})`)
  }
  return { ...declared, file, read }
}

function flagOf(env: string): string {
  return env
    .replace(/^PARLEY_/, '')
    .toLowerCase()
    .replaceAll('_', '-')
}
