import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { releaseProblems, repositoryProblems } from '../scripts/release-check.ts'

const released = '# Changelog\n\n## Unreleased\n\n## 0.2.0, 2027-01-15\n\n- Timers.\n\n## 0.1.0, 2026-11-25\n\n- First version.\n'

test('a version with a dated section and nothing pending may be released', () => {
  expect(releaseProblems(released, '0.2.0')).toEqual([])
})

test.each([
  ['notes are pending', released.replace('## Unreleased\n', '## Unreleased\n\n- Media.\n'), '1 notes are pending'],
  ['the version has no section', released.replace('0.2.0', '0.3.0'), 'must be ## 0.2.0'],
  ['the section has no date', released.replace(', 2027-01-15', ''), 'must be ## 0.2.0'],
  ['the date is none', released.replace('2027-01-15', '2027-13-45'), 'must end with a date'],
  ['the section has no notes', released.replace('- Timers.\n\n', ''), 'has no notes'],
  [
    'a later version comes first',
    released.replace('## 0.2.0', '## 0.4.0, 2027-03-01\n\n- Later.\n\n## 0.2.0'),
    'must be ## 0.2.0',
  ],
  ['there is no section for pending notes', released.replace('## Unreleased\n\n', ''), 'must be ## Unreleased'],
])('a release is refused when %s', (_, changelog, problem) => {
  expect(releaseProblems(changelog, '0.2.0')).toEqual([expect.stringContaining(problem)])
})

const stated = 'git+https://example.com/parley/parley.git'

test.each(['https://example.com/parley/parley', 'git@example.com:parley/parley.git', 'ssh://git@example.com/parley/parley.git'])(
  'a release from %s is one from the repository that the package names',
  (origin) => {
    expect(repositoryProblems(stated, origin)).toEqual([])
  },
)

test.each(['https://example.com/fork/parley.git', 'https://example.org/parley/parley', ''])(
  'a release from %j is refused',
  (origin) => {
    expect(repositoryProblems(stated, origin)).toEqual([expect.stringContaining(stated)])
  },
)

test('the changelog can be read by the check, whatever is pending', () => {
  const changelog = readFileSync(new URL('../CHANGELOG.md', import.meta.url), 'utf8')
  expect(changelog).toMatch(/^# Changelog\n[\s\S]*?\n## Unreleased\n/)
})
