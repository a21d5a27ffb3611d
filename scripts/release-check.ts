/**
 * Checks in CHANGELOG.md that a version has a dated section and no notes are pending, and that package.json names the repository
 * that it is released from. `npm version` and `npm publish` run it
 * (`preversion`, `prepublishOnly`); by hand: `npm run release-check`. Exits with 1 when the version must not be released.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

interface Section {
  readonly title: string
  readonly notes: readonly string[]
}

const root = new URL('../', import.meta.url)

if (import.meta.main) {
  const manifest: { version: string; repository: { url: string } } = JSON.parse(
    readFileSync(new URL('package.json', root), 'utf8'),
  )
  // npm names the version that it is about to set; package.json still has the old one then.
  const version = process.env.npm_new_version ?? manifest.version
  const origin = spawnSync('git', ['remote', 'get-url', 'origin'], { cwd: fileURLToPath(root), encoding: 'utf8' }).stdout
  const problems = [
    ...releaseProblems(readFileSync(new URL('CHANGELOG.md', root), 'utf8'), version),
    ...repositoryProblems(manifest.repository.url, origin.trim()),
  ]
  for (const problem of problems) console.error(`${version} cannot be released: ${problem}`)
  process.exitCode = problems.length > 0 ? 1 : 0
}

/** Returns the reasons against a release of `version`. */
export function releaseProblems(changelog: string, version: string): string[] {
  const [pending, latest] = sectionsOf(changelog)
  if (pending?.title !== 'Unreleased') return ['the first section of CHANGELOG.md must be ## Unreleased']
  if (pending.notes.length > 0) {
    return [`${pending.notes.length} notes are pending below ## Unreleased: move them to ## ${version}, <date>`]
  }
  if (!latest?.title.startsWith(`${version}, `)) return [`the section after ## Unreleased must be ## ${version}, <date>`]
  const date = latest.title.slice(version.length + 2)
  return [
    ...(isDate(date) ? [] : [`## ${latest.title} must end with a date such as 2027-01-15`]),
    ...(latest.notes.length > 0 ? [] : [`## ${latest.title} has no notes`]),
  ]
}

/** Returns what is wrong with `repository` of package.json: people must find the sources that a release was made from. */
export function repositoryProblems(stated: string, origin: string): string[] {
  if (pathOf(stated) === pathOf(origin)) return []
  return [`package.json says that the repository is ${stated}, but origin is ${origin || 'not set'}`]
}

/** Returns host and path of a repository, however it is written: `git@host:path`, or a URL. */
function pathOf(repository: string): string {
  return repository
    .replace(/^(git\+)?[a-z]+:\/\//, '')
    .replace(/^[^@/]+@/, '')
    .replace(':', '/')
    .replace(/\.git$/, '')
}

/** Returns the sections in order, each with its list items. */
function sectionsOf(changelog: string): Section[] {
  return changelog
    .split(/^## /m)
    .slice(1)
    .map((text) => {
      const [title = '', ...lines] = text.split('\n')
      return { title: title.trim(), notes: lines.filter((line) => line.startsWith('- ')) }
    })
}

function isDate(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))
}
