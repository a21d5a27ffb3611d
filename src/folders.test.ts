import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { folder } from '../test/support/process.ts'
import { checkFolder, isWithin, makeFolder } from './folders.ts'

describe('makeFolder', () => {
  test('makes a folder and those above it, for the owner alone; what is there stays', () => {
    using place = folder()
    makeFolder(place.file('a/b/c'))
    for (const made of ['a', 'a/b', 'a/b/c']) expect(statSync(place.file(made)).mode & 0o777).toBe(0o700)
    writeFileSync(place.file('a/b/c/kept'), '')
    makeFolder(place.file('a/b/c'))
    expect(readdirSync(place.file('a/b/c'))).toEqual(['kept'])
  })

  test.runIf(process.platform === 'linux')('ends where a file system has no such folders', () => {
    for (const path of ['/proc/parley', '/proc/parley/data/x']) {
      expect(() => makeFolder(path)).toThrow(/ENOENT|EACCES/)
      expect(() => checkFolder(path)).toThrow(/ENOENT|EACCES/)
    }
  })
})

test('checkFolder refuses what cannot be a folder, and leaves nothing of its attempt', () => {
  using place = folder()
  writeFileSync(place.file('file'), '')
  symlinkSync(place.file('nowhere'), place.file('link'))
  for (const path of ['file', 'file/x/y', 'link', 'link/x']) expect(() => checkFolder(place.file(path))).toThrow(/^E[A-Z]+:/)
  for (const path of ['', 'new', 'new/er']) checkFolder(place.file(path))
  expect(readdirSync(place.path).toSorted()).toEqual(['file', 'link'])
  expect(existsSync(place.file('nowhere'))).toBe(false)
})

test('isWithin follows links, and takes no name that only begins alike for a folder below', () => {
  using place = folder()
  mkdirSync(place.file('media'))
  symlinkSync(place.file('media'), place.file('link'))
  for (const path of ['media', 'media/', 'media/a/b', 'link', 'link/a', 'x/../media/..a'])
    expect(isWithin(place.file(path), place.file('media')), path).toBe(true)
  for (const path of ['', 'media2', 'media/..', 'x/media'])
    expect(isWithin(place.file(path), place.file('media')), path).toBe(false)
})
