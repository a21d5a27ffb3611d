/**
 * Runs tests, and each file that failed, or whose process died, once more in a new process: of thousands of tests with servers,
 * databases and browsers on a busy machine one may fail of itself. What passed the second time is named at the end, and is to be mended.
 *
 *     node scripts/second-try.ts [--project NAME …]
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'

/** Of the report that vitest writes for machines, what is read here. */
interface Report {
  readonly testResults: readonly { readonly name: string; readonly status: 'passed' | 'failed' }[]
}

const projects = process.argv.slice(2)
const folder = mkdtempSync(join(tmpdir(), 'parley-tests-'))
process.exitCode = tryTwice(join(folder, 'report.json'))
rmSync(folder, { recursive: true })

function tryTwice(report: string): number {
  const reported = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const status = vitest([...projects, ...reported])
  if (status === 0) return 0
  const failed = failedFiles(report)
  // Something else is wrong, as an error that no test waited for: it stays a failure.
  if (failed.length === 0) return status
  console.log(`\nTried again: ${failed.join(' ')}\n`)
  const again = vitest([...projects, ...failed])
  console.log(again === 0 ? `\nPassed the second time, to be mended: ${failed.join(' ')}` : '\nFailed twice.')
  return again
}

function vitest(args: readonly string[]): number {
  const { status, error } = spawnSync('vitest', ['run', ...args], { stdio: 'inherit' })
  if (error) throw error
  return status ?? 1
}

/** Files of which a test failed or has not ended, relative to the project. */
function failedFiles(report: string): string[] {
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report
  const failed = testResults.filter(({ status }) => status === 'failed')
  return [...new Set(failed.map(({ name }) => relative(process.cwd(), name)))]
}
