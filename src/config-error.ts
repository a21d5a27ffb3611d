/** A setting has a wrong value or does not fit its surroundings. The message names the setting and the remedy. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'PARLEY_CONFIG'
  /** The message: a sentence, and perhaps a line for each of several mistakes. */
  readonly lines: readonly string[]

  constructor(sentence: string, { mistakes = [], ...options }: ErrorOptions & { readonly mistakes?: readonly string[] } = {}) {
    const lines = [sentence, ...mistakes.map((mistake) => `  ${mistake}`)]
    super(lines.join('\n'), options)
    this.lines = lines
  }
}
