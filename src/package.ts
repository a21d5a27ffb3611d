import { readFileSync } from 'node:fs'
import { extname } from 'node:path'

/*
 * Where the program's own files are. This module lies in `src/`, and in the package in `dist/`, beside the entries of the same
 * names (scripts/build.ts). No other path may depend on where a module lies: the bundler moves all others.
 */

/** Returns the URL of a module that is imported, or started as a thread, by its URL; `name` is its path in `src/`. */
export function moduleUrl(name: string): URL {
  return new URL(`./${name}${extname(import.meta.url)}`, import.meta.url)
}

/** Returns the folder of the built console, which need not be there. */
export function consoleFolder(): URL {
  return new URL('../dist/console/', import.meta.url)
}

/** Returns the version of Parley. */
export function packageVersion(): string {
  return manifest().version
}

/** Returns the oldest version of Node that Parley runs on, such as `22.21`. */
export function neededNode(): string {
  return manifest().engines.node.replace('>=', '')
}

function manifest(): { readonly version: string; readonly engines: { readonly node: string } } {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
}
