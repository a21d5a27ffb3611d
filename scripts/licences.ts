import { readdirSync, readFileSync } from 'node:fs'

interface Manifest {
  readonly name: string
  readonly version: string
  readonly license?: string
  readonly author?: string | { readonly name: string }
}

/** Licences that let their text be passed on with a bundle, and ask for nothing else. */
const accepted = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0', 'ISC', 'MIT', 'MIT-0']

/** The text of the MIT licence, for the few packages that only name it: that of Parley itself, below its title and copyright. */
const mit = readFileSync(new URL('../LICENSE', import.meta.url), 'utf8')
  .split('\n')
  .slice(4)
  .join('\n')
  .trim()

/**
 * Returns the licences of the packages that these modules belong to, sorted by name. Throws when a package has a licence that
 * is not known to allow this.
 */
export function licenceTexts(modules: readonly string[]): string {
  const folders = new Set(modules.map(packageFolder).filter((folder) => folder !== undefined))
  const texts = new Map([...folders].map((folder) => licenceOf(folder)))
  const head = 'The package contains code of the following packages, each under its licence.\n'
  return [head, ...[...texts.keys()].sort().map((name) => texts.get(name))].join(`\n${'-'.repeat(80)}\n\n`)
}

/** Returns the innermost folder in `node_modules` that has the module; undefined for the program's own. */
function packageFolder(module: string): string | undefined {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(module)?.[0]
}

function licenceOf(folder: string): [name: string, text: string] {
  const { name, version, license = 'none', author } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')) as Manifest
  // A package under several licences may be passed on under any of them.
  const choices = license.replace(/^\((.*)\)$/, '$1').split(' OR ')
  if (!choices.some((choice) => accepted.includes(choice)))
    throw new Error(`${name} ${version} has the licence ${license}: may it be bundled?`)
  const file = fileIn(folder) ?? fileBeside(folder, license)
  const by = typeof author === 'string' ? author : author?.name
  if (!file && license !== 'MIT') throw new Error(`${name} ${version} has no text of its licence, ${license}`)
  const text = file ? readFileSync(file, 'utf8').trim() : `Copyright (c) ${by ?? `the authors of ${name}`}\n\n${mit}`
  return [`${name}@${version}`, `${name} ${version} (${license})\n\n${text}\n`]
}

function fileIn(folder: string): string | undefined {
  const name = readdirSync(folder).find((each) => /^(licen[cs]e|copying)/i.test(each))
  return name && `${folder}/${name}`
}

/** Returns the file of another package of the same authors, those of its scope, under the same licence: some only name theirs. */
function fileBeside(folder: string, license: string): string | undefined {
  const scope = /^.*\/@[^/]+(?=\/[^/]+$)/.exec(folder)?.[0]
  const others = scope === undefined ? [] : readdirSync(scope).map((name) => `${scope}/${name}`)
  const same = others.find((other) => {
    const manifest: Manifest = JSON.parse(readFileSync(`${other}/package.json`, 'utf8'))
    return manifest.license === license && fileIn(other) !== undefined
  })
  return same && fileIn(same)
}
