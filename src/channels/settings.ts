import { isJsonObject, parseStored } from '../json.ts'
import { openCredentials, sealCredentials, withoutCredentials } from '../urls.ts'

/*
 * The settings of a kind of channel, declared like the parameters of a resource: checking, sealing, the description of the API and
 * the documentation follow from one entry.
 */

/** One setting, as JSON has it. */
export interface Setting<T> {
  /** A noun phrase. */
  readonly description: string
  /** For the description of the API; `parse` is what decides. */
  readonly schema: { readonly type: 'string' | 'boolean' | 'integer'; readonly [keyword: string]: unknown }
  /** Returns the value. Throws SettingError, whose text follows the name of the setting. */
  parse(given: unknown): T
  /** Stored encrypted and never shown: the whole value, or the user name and password of a URL. */
  readonly secret?: 'value' | 'credentials'
  /** When it is absent or null; undefined: it is required. */
  readonly default?: T
}

export type SettingsOf<Settings> = { readonly [Name in keyof Settings]-?: Setting<Settings[Name]> }

/** The settings of any kind. */
export type DeclaredSettings = Readonly<Record<string, Setting<unknown>>>

/** The values that a declaration yields: the type of a kind's settings. */
export type ValuesOf<D> = { readonly [Name in keyof D]: D[Name] extends Setting<infer T> ? T : never }

/** What is wrong with a setting: `must be …`. */
export class SettingError extends Error {
  override readonly name = 'SettingError'
  readonly code = 'PARLEY_CHANNEL_SETTING'
}

interface Described {
  readonly description: string
}

interface TextRules extends Described {
  /** In characters; default 1,024. */
  readonly max?: number
  readonly pattern?: RegExp
  /** What the pattern asks for: `must be <words>`. */
  readonly words?: string
}

/** A text that is not empty. */
export function textSetting(rules: TextRules): Setting<string> {
  const { description, max = 1024, pattern, words = 'in another form' } = rules
  return {
    description,
    schema: { type: 'string', minLength: 1, maxLength: max, ...(pattern && { pattern: pattern.source }) },
    parse(given) {
      if (typeof given !== 'string') throw new SettingError('must be of type string')
      if (given === '') throw new SettingError('must not be empty')
      if (given.length > max) throw new SettingError(`must have at most ${max} characters`)
      if (/\p{Cc}/u.test(given) || !given.isWellFormed()) throw new SettingError('must not contain control characters')
      if (pattern && !pattern.test(given)) throw new SettingError(`must be ${words}`)
      return given
    },
  }
}

/** A text that is stored encrypted and never shown. */
export function secretSetting(rules: TextRules): Setting<string> {
  return { ...textSetting(rules), secret: 'value' }
}

/** An http(s) URL; a user name and password in it are stored encrypted and not shown. */
export function urlSetting({ description }: Described): Setting<string> {
  const inner = textSetting({ description, max: 2048 })
  return {
    ...inner,
    secret: 'credentials',
    parse(given) {
      const text = inner.parse(given)
      const url = URL.canParse(text) ? new URL(text) : undefined
      if (!url || !/^https?:$/.test(url.protocol)) throw new SettingError('must be an http or https URL')
      return text
    },
  }
}

export function flagSetting({ description }: Described): Setting<boolean> {
  return {
    description,
    schema: { type: 'boolean' },
    parse(given) {
      if (typeof given !== 'boolean') throw new SettingError('must be true or false')
      return given
    },
  }
}

export function numberSetting({ description, min, max }: Described & { min: number; max: number }): Setting<number> {
  return {
    description,
    schema: { type: 'integer', minimum: min, maximum: max },
    parse(given) {
      if (typeof given !== 'number' || !Number.isInteger(given) || given < min || given > max) {
        throw new SettingError(`must be a whole number from ${min} to ${max}`)
      }
      return given
    },
  }
}

/** One of a few words. */
export function wordSetting<const W extends string>({ description, words }: Described & { words: readonly W[] }): Setting<W> {
  return {
    description,
    schema: { type: 'string', enum: words },
    parse(given) {
      const word = words.find((one) => one === given)
      if (word === undefined) throw new SettingError(`must be one of ${words.join(', ')}`)
      return word
    },
  }
}

/** A setting that may be left out; null then, unless another default is given. */
export function optional<T>(inner: Setting<T>): Setting<T | null>
export function optional<T>(inner: Setting<T>, standard: T): Setting<T>
export function optional<T>(inner: Setting<T>, standard: T | null = null): Setting<T | null> {
  return { ...inner, default: standard }
}

/** What stands in place of a secret; given back, it keeps the secret that is stored. */
export const mask = '********'

/** The values of settings, by name. */
export type SettingValues = Readonly<Record<string, unknown>>

/**
 * Returns the values of given settings. `stored`: the present ones of the same kind, of which secrets are kept that are given masked.
 * Throws SettingError, a whole sentence.
 */
export function parseSettings(declared: DeclaredSettings, given: unknown, stored: SettingValues | null): SettingValues {
  if (!isJsonObject(given)) throw new SettingError('settings must be of type object')
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(declared, name))
  if (unknown !== undefined) throw new SettingError(`settings.${unknown.slice(0, 100)} is not a setting of this kind`)
  const entries = Object.entries(declared).map(([name, setting]) => [name, parseSetting(name, setting, given[name], stored)])
  return Object.fromEntries(entries)
}

function parseSetting(name: string, setting: Setting<unknown>, given: unknown, stored: SettingValues | null): unknown {
  if (given === undefined || given === null) {
    if (setting.default === undefined) throw new SettingError(`settings.${name} is required`)
    return setting.default
  }
  if (given === mask && setting.secret === 'value') {
    if (typeof stored?.[name] !== 'string')
      throw new SettingError(`settings.${name} is required: no secret is stored that could be kept`)
    return stored[name]
  }
  try {
    return setting.parse(given)
  } catch (error) {
    throw error instanceof SettingError ? new SettingError(`settings.${name} ${error.message}`) : error
  }
}

/** Returns settings as they are stored: JSON text, with the secrets encrypted by `seal`. */
export function sealSettings(declared: DeclaredSettings, values: SettingValues, seal: (secret: string) => string): string {
  return JSON.stringify(mapSecrets(declared, values, seal, (url) => sealCredentials(url, seal)))
}

/** Returns stored settings as a kind gets them; one that is not stored has its default. Throws as `open` does. */
export function openSettings(declared: DeclaredSettings, stored: string, open: (sealed: string) => string): SettingValues {
  const values = mapSecrets(declared, parseStored<SettingValues>(stored), open, (url) => openCredentials(url, open))
  const defaults = Object.entries(declared).flatMap(([name, { default: value }]) => (value === undefined ? [] : [[name, value]]))
  return { ...Object.fromEntries(defaults), ...values }
}

/** Returns stored settings as they are shown, with the secrets masked. */
export function shownSettings(declared: DeclaredSettings, stored: string): SettingValues {
  return mapSecrets(declared, parseStored<SettingValues>(stored), () => mask, withoutCredentials)
}

function mapSecrets(
  declared: DeclaredSettings,
  values: SettingValues,
  secret: (text: string) => string,
  url: (text: string) => string,
): SettingValues {
  const entries = Object.entries(values).map(([name, value]) => {
    const kind = declared[name]?.secret
    if (typeof value !== 'string' || kind === undefined) return [name, value]
    return [name, kind === 'value' ? secret(value) : url(value)]
  })
  return Object.fromEntries(entries)
}
