import type { Locator } from 'playwright-core'
import { expect, onTestFinished, test } from 'vitest'
import { startChatDemo } from '../../demo/chat/server.ts'
import { describeInBrowser } from '../support/browser.ts'
import { violationsOf } from '../support/console.ts'

/** The smallest PNG there is: one pixel. */
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=', 'base64')

describeInBrowser('the demo with two people on one page', (open) => {
  async function demo() {
    const { url, [Symbol.asyncDispose]: stop } = await startChatDemo({ port: 0 })
    onTestFinished(() => stop())
    const page = await open()
    const problems: string[] = []
    page.on('console', (message) => void (message.type() === 'error' && problems.push(message.text())))
    page.on('pageerror', (error) => problems.push(error.message))
    await page.goto(url)
    const [ann, bob] = [page.getByRole('region', { name: 'Ann' }), page.getByRole('region', { name: 'Bob' })]
    const state = page.getByRole('status').first()
    await waitFor(state, /^The conversation is active/)
    return { page, ann, bob, state, problems }
  }

  /** Resolves when the element has a text like this. */
  async function waitFor(element: Locator, text: RegExp): Promise<void> {
    await expect.poll(() => element.textContent()).toMatch(text)
  }

  const message = (person: Locator) => person.getByLabel('Message', { exact: true })

  async function say(person: Locator, text: string): Promise<void> {
    await message(person).fill(text)
    await person.getByRole('button', { name: 'Send' }).click()
  }

  test('they see each other type, write, read and send pictures', async () => {
    const { page, ann, bob, problems } = await demo()
    // Whoever opens the conversation only now is told of the next letters: clients repeat while somebody goes on.
    await expect
      .poll(async () =>
        message(ann)
          .press('H')
          .then(() => bob.textContent()),
      )
      .toMatch(/ann is typing/)
    await say(ann, 'Hello')
    await waitFor(bob.getByRole('log'), /annHello/)
    await waitFor(bob, /1 unread/)
    await waitFor(ann.getByRole('log'), /YouHelloSent/)
    expect(await bob.textContent()).not.toMatch(/typing/)
    await message(bob).focus()
    await waitFor(ann.getByRole('log'), /YouHelloRead by bob/)
    expect(await bob.textContent()).not.toMatch(/unread/)
    await bob.getByLabel('File').setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: png })
    await say(bob, 'Look')
    const image = ann.getByRole('img', { name: 'dot.png' })
    await expect.poll(() => image.evaluate((one) => 'naturalWidth' in one && one.naturalWidth)).toBe(1)
    await bob.getByLabel('File').setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('notes') })
    await bob.getByRole('button', { name: 'Send' }).click()
    const link = await ann.getByRole('link', { name: 'notes.txt' }).getAttribute('href')
    expect(await (await fetch(link ?? '')).text()).toBe('notes')
    await page.reload()
    await waitFor(page.getByRole('region', { name: 'Ann' }).getByRole('log'), /YouHello.*bobLook.*notes\.txt/)
    expect(problems).toEqual([])
  })

  test('as the clock is moved the conversation becomes inactive, active by a message, and closed; then there is a new one', async () => {
    const { page, ann, bob, state, problems } = await demo()
    await page.getByRole('button', { name: '5 minutes later' }).click()
    await waitFor(state, /is inactive\. Without a message it is closed at/)
    await say(bob, 'Still here')
    await waitFor(state, /is active/)
    await waitFor(ann.getByRole('log'), /Still here/)
    // Long enough for the tokens to end as well: each client gets a new one.
    await page.getByRole('button', { name: '1 hour later' }).click()
    await waitFor(state, /is closed\. It takes no more messages\.$/)
    for (const person of [ann, bob]) {
      await expect.poll(() => message(person).isDisabled()).toBe(true)
      await expect.poll(() => person.getByRole('button', { name: 'Send' }).isDisabled()).toBe(true)
    }
    await page.getByRole('button', { name: 'New conversation' }).click()
    await waitFor(state, /is active/)
    await say(ann, 'Once more')
    await waitFor(bob.getByRole('log'), /^annOnce more/)
    expect(problems).toEqual([])
  })

  test('it is accessible', async () => {
    const { page, ann, bob } = await demo()
    await say(ann, 'Hello')
    await waitFor(bob.getByRole('log'), /Hello/)
    expect(await violationsOf(page)).toEqual([])
  })
})
