import { accessSync, constants, existsSync, lstatSync, mkdirSync, mkdtempSync, realpathSync, rmdirSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { codeOf } from './errors.ts'

/**
 * Makes a folder, for its owner alone, and those above it. Node's own `recursive` never returns where a file system has the folder
 * above but refuses the one below as not found, as /proc does. Throws the error of the file system.
 */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if (isFolder(folder)) return
    if (codeOf(error) !== 'ENOENT' || isThere(dirname(folder))) throw error
    makeFolder(dirname(folder))
    // What stands above is there now: it goes no further than this.
    makeFolder(folder)
  }
}

/**
 * Finds out whether files can be made in a folder, which may not be there yet. Nothing stays of the attempt. Throws the error of
 * the file system.
 */
export function checkFolder(folder: string): void {
  if (isFolder(folder)) accessSync(folder, constants.W_OK | constants.X_OK)
  // Permissions do not tell everything: a file system may refuse any new folder.
  else rmdirSync(mkdtempSync(join(closestExisting(folder), '.parley-')))
}

/** Whether a path, which may not be there yet, is a folder or below it, whatever links lead to either. */
export function isWithin(path: string, folder: string): boolean {
  const way = relative(real(folder), real(path))
  return way === '' || !(isAbsolute(way) || way.split(sep)[0] === '..')
}

function real(path: string): string {
  const there = closestExisting(resolve(path))
  return join(existsSync(there) ? realpathSync(there) : there, relative(there, resolve(path)))
}

/** Returns the path itself or the closest one above it that exists, a folder or not. */
function closestExisting(path: string): string {
  return isThere(path) || dirname(path) === path ? path : closestExisting(dirname(path))
}

/** A link that leads nowhere is there, too. */
function isThere(path: string): boolean {
  return existsSync(path) || (lstatSync(path, { throwIfNoEntry: false }) ?? null) !== null
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
