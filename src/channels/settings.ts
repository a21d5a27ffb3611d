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
  /** Stored encrypted and never shown. */
  readonly secret?: true
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
  return { ...textSetting(rules), secret: true }
}

/** An http(s) URL. Without credentials, which have settings of their own. */
export function urlSetting({ description }: Described): Setting<string> {
  const inner = textSetting({ description, max: 2048 })
  return {
    ...inner,
    parse(given) {
      const text = inner.parse(given)
      const url = URL.canParse(text) ? new URL(text) : undefined
      if (!url || !/^https?:$/.test(url.protocol)) throw new SettingError('must be an http or https URL')
      if (url.username !== '' || url.password !== '') throw new SettingError('must not contain a user name or password')
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
