import { readFileSync } from 'node:fs'
import { ConfigError } from '../config-error.ts'

/**
 * Returns an argument, or of `@file` what is in the file: other users of a machine see the arguments of its programs. Throws ConfigError.
 */
export function givenText(argument: string): string {
  if (!argument.startsWith('@')) return argument
  try {
    return readFileSync(argument.slice(1), 'utf8').trim()
  } catch (error) {
    throw new ConfigError(`${argument.slice(1)} cannot be read`, { cause: error })
  }
}
