import { existsSync, readFileSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest'
import { standIn } from './http-stand-in.ts'

const usual = '/usr/bin/chromium'
const required = process.env.PARLEY_TEST_CHROMIUM
const path = required ?? usual

if (required && !existsSync(required)) throw new Error(`there is no browser at PARLEY_TEST_CHROMIUM=${required}`)

/** A bound against hangs, like those of vitest.config.ts. */
export const patienceMs = 120_000

/** Whether there is a browser to test in. */
export const hasBrowser = existsSync(path)

/** Starts the system's Chromium, without a window. */
export function launchBrowser(args: readonly string[] = []): Promise<Browser> {
  // Chromium refuses its sandbox to root, and CI is root; it loads only what the tests serve.
  return chromium.launch({ executablePath: path, args: ['--no-sandbox', '--disable-dev-shm-usage', ...args] })
}

/** Opens a page in a context of its own: nothing that is stored is shared. `args`: of a browser for this page alone. */
type Open = (args?: readonly string[]) => Promise<Page>

/** Describes tests in a real browser, the system's Chromium. Without one they are skipped, unless `PARLEY_TEST_CHROMIUM` says where. */
export function describeInBrowser(what: string, define: (open: Open) => void): void {
  const skipped = `${what} (skipped: there is no ${usual}; install it, or say in PARLEY_TEST_CHROMIUM where Chromium is)`
  describe.runIf(hasBrowser)(hasBrowser ? what : skipped, () => {
    let shared: Browser
    beforeAll(async () => {
      shared = await launchBrowser()
    })
    afterAll(() => shared.close())
    define(async (args) => {
      const browser = args ? await launchBrowser(args) : shared
      // Whoever leads names elsewhere cannot have certificates that the system trusts.
      const context = await browser.newContext({ ignoreHTTPSErrors: args !== undefined })
      context.setDefaultTimeout(patienceMs)
      onTestFinished(() => (args ? browser.close() : context.close()))
      return context.newPage()
    })
  })
}

/** Serves a page and its files by path, each from a file or as a text; returns its URL. Ends with the test. */
export async function servePage(
  files: Readonly<Record<string, { readonly type: string; readonly content: string }>>,
): Promise<string> {
  const server = await standIn(({ path }) => {
    const file = files[path]
    return file ? { status: 200, headers: { 'content-type': file.type }, body: file.content } : { status: 404 }
  })
  onTestFinished(() => server[Symbol.asyncDispose]())
  return `${server.url.replace('127.0.0.1', 'localhost')}/`
}

/** The SDK's own bundle for browsers. */
export function sdkBundle(): string {
  const file = new URL('../../node_modules/@twilio/conversations/builds/twilio-conversations.min.js', import.meta.url)
  return readFileSync(file, 'utf8')
}
