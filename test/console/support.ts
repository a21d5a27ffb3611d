import type { Browser, Page } from 'playwright-core'
import { expect } from 'vitest'
import { hasBrowser, launchBrowser, patienceMs } from '../support/browser.ts'
import { freshConsole, violationsOf, watchErrors } from '../support/console.ts'
import { testOn } from '../support/fixtures.ts'
import { adminToken, startServer } from '../support/server.ts'

/** A browser of its own, as somebody has it who looks at a server. */
export interface Visitor {
  /** A page of the console, below `/console`. */
  open(path?: string): Promise<Page>
  readonly errors: readonly string[]
  close(): Promise<void>
}

const browsers: { running?: Promise<Browser> } = {}

/** Somebody who has not signed in. What the page may not do is among the errors: none are expected. */
export async function newVisitor(
  server: { readonly url: string },
  options: { width?: number; dark?: boolean } = {},
): Promise<Visitor> {
  browsers.running ??= freshConsole().then(() => launchBrowser())
  const browser = await browsers.running
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1200, height: 800 },
    colorScheme: options.dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  context.setDefaultTimeout(patienceMs)
  const errors = watchErrors(context)
  return {
    errors,
    async open(path = '') {
      const page = await context.newPage()
      await page.goto(`${server.url}/console${path}`)
      // Until then everything is read twice: what moves meanwhile is missed by a click.
      await page.locator('html[data-live], main.sign-in').first().waitFor()
      return page
    },
    close: () => context.close(),
  }
}

export async function signIn(page: Page, token = adminToken): Promise<void> {
  await page.getByLabel('Operator token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

/** As if somebody went to another tab, or came back. A page that is shown again reads everything anew. */
export async function setHidden(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate(`Object.defineProperty(document, 'hidden', { configurable: true, value: ${isHidden} })
    document.dispatchEvent(new Event('visibilitychange'))`)
}

/** `visitor`: signed in, and expected to have met no error. */
const always = testOn(startServer).extend('visitor', async ({ server }, { onCleanup }) => {
  const visitor = await newVisitor(server)
  onCleanup(async () => {
    await visitor.close()
    expect(visitor.errors).toEqual([])
  })
  const page = await visitor.open()
  await signIn(page)
  await page.getByRole('heading', { name: 'Conversations' }).waitFor()
  await page.close()
  return visitor
})

/** Skipped where there is no browser. */
export const test = always.runIf(hasBrowser)

/** Runs a script wherever it would be taken for markup, for an address or for code. */
export const hostile = [
  '<img src=x onerror="window.pwned=1">',
  '"><svg onload="window.pwned=2"></svg>',
  'javascript:window.pwned=3//',
  '{{constructor.constructor("window.pwned=4")()}}</script><script>window.pwned=5</script>',
]

/** What makes the page scroll sideways. */
export const wider = `document.documentElement.scrollWidth <= 360 ? [] : [...document.querySelectorAll('body *')]
  .filter((element) => element.getBoundingClientRect().right > 360).map(({ outerHTML }) => outerHTML.slice(0, 200))`

/**
 * Opens pages by their paths, each in light and dark and 360 wide, loads each again, and expects it to show its text, to pass axe, to fit,
 * and that nothing in it has run. `act`: what is done first.
 */
export async function expectLooks(
  server: { readonly url: string },
  pages: readonly [path: string, ready: string, act?: (page: Page) => Promise<unknown>][],
) {
  for (const dark of [false, true]) {
    const visitor = await newVisitor(server, { width: 360, dark })
    const page = await visitor.open(pages[0]?.[0])
    await signIn(page)
    // A page that is left at once takes the sign-in with it.
    await page.locator('main.sign-in').waitFor({ state: 'detached' })
    for (const [path, ready, act] of pages) {
      await page.goto(`${server.url}/console${path}`)
      await page.getByText(ready).filter({ visible: true }).first().waitFor()
      await page.reload()
      await page.getByText(ready).filter({ visible: true }).first().waitFor()
      await act?.(page)
      expect(await violationsOf(page), `${path}, ${dark ? 'dark' : 'light'}`).toEqual([])
      expect(await page.evaluate(wider), path).toEqual([])
      expect(await page.evaluate("'pwned' in window"), path).toBe(false)
    }
    expect(visitor.errors).toEqual([])
    await visitor.close()
  }
}

/** After the last test of a file. */
export async function closeBrowser(): Promise<void> {
  await (await browsers.running)?.close()
  delete browsers.running
}
