import { type Command, CommanderError } from 'commander'
import type { Logger } from 'pino'
import { ConfigError } from '../config-error.ts'
import { printable } from './terminal.ts'

/** Where `parley` says what is neither the result of a command nor in the log of the server. */
export interface Output {
  /** Standard output as JSON lines, where nothing else may be printed. */
  readonly lines: Logger | null
  warn(sentence: string): void
  /** Says why the process ends. Throws what is a defect. */
  failed(error: unknown): void
  /** Lets a command say here what is wrong with its options. */
  adopt(command: Command): void
}

/** Whether `parley serve` prints nothing but JSON lines: as the flag or the variable says, otherwise unless it is in a terminal. */
export function isJsonWanted(argv: readonly string[], { PARLEY_LOG_FORMAT }: NodeJS.ProcessEnv, isTTY: boolean): boolean {
  const at = argv.findLastIndex((word) => /^--log-format(=|$)/.test(word))
  const [, value] = (argv[at] ?? '').split('=')
  const format = (value ?? (at < 0 ? undefined : argv[at + 1])) || PARLEY_LOG_FORMAT
  return format === 'json' || (format !== 'text' && !isTTY)
}

export const textOutput: Output = {
  lines: null,
  warn: (sentence) => console.error(`parley: ${sentence}`),
  failed: (error) => {
    if (error instanceof ConfigError) console.error(`parley: ${error.lines.map(printable).join('\n')}`)
    else if (!(error instanceof CommanderError)) throw error
  },
  adopt: () => {},
}

/** Only here is the library of the log loaded: commands other than `serve` have none. */
export async function jsonOutput(): Promise<Output> {
  const { directLog } = await import('../observability/log.ts')
  const errors = directLog(process.stderr)
  // Node would print its own texts for these.
  process.removeAllListeners('warning')
  process.on('warning', (err) => errors.warn({ err }, 'warning of Node'))
  process.on('uncaughtException', (err) => {
    errors.fatal({ err }, 'Parley has failed')
    process.exit(1)
  })
  return {
    lines: directLog(process.stdout),
    warn: (sentence) => errors.warn(sentence),
    failed: (error) => {
      if (error instanceof ConfigError) errors.fatal(error.message)
      else if (!(error instanceof CommanderError)) throw error
    },
    adopt: (command) => command.configureOutput({ writeErr: (text) => errors.fatal(text.trim()) }),
  }
}
