import { ConfigError } from './config-error.ts'
import { neededNode } from './package.ts'

/**
 * Throws ConfigError on a Node that is too old: there, SQLite's native part ends the process without a word. For programs that import
 * the package; the command line has bin/check-node.cjs.
 */
export function checkNode(): void {
  const current = process.versions.node
  const needed = neededNode()
  if (!isOlder(current, needed)) return
  throw new ConfigError(`this is Node ${current} (${process.execPath}), and Parley needs Node ${needed} or later`)
}

function isOlder(version: string, needed: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [neededMajor = 0, neededMinor = 0] = needed.split('.').map(Number)
  return major < neededMajor || (major === neededMajor && minor < neededMinor)
}
