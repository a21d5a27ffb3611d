import { execFile } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import axe, { type AxeResults } from 'axe-core'
import type { BrowserContext, Page } from 'playwright-core'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))

/** Builds the console unless it is newer than its sources. */
export async function freshConsole(): Promise<void> {
  const built = statSync(join(root, 'dist/console/index.html'), { throwIfNoEntry: false })?.mtimeMs ?? 0
  const files = readdirSync(join(root, 'console'), { recursive: true, withFileTypes: true })
  const newest = Math.max(
    ...files.filter((file) => file.isFile()).map((file) => statSync(join(file.parentPath, file.name)).mtimeMs),
  )
  // In a process of its own: what is built depends on the environment, and that of tests is not the usual one.
  if (newest > built) await run(process.execPath, [join(root, 'console/build.ts')])
}

const refused = /^Failed to load resource: the server responded with a status of 4/

/**
 * What a page has said on its console, and thrown: with a strict policy, everything that it blocks is among it. That the server has
 * refused a request is not: people are told so.
 */
export function watchErrors(context: BrowserContext): string[] {
  const errors: string[] = []
  context.on('console', (message) => {
    if (message.type() === 'error' && !refused.test(message.text())) errors.push(`${message.text()} (${message.location().url})`)
  })
  context.on('weberror', (error) => errors.push(String(error.error())))
  return errors
}

/** What axe finds wrong with a page, as `rule: element`. */
export async function violationsOf(page: Page): Promise<string[]> {
  // Evaluated, not added as a script, which the policy of the page would refuse.
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<AxeResults>('axe.run()')
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target} ${failureSummary}`))
}
