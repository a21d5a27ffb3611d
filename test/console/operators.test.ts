import { afterAll, expect } from 'vitest'
import { ask } from '../support/admin.ts'
import { violationsOf } from '../support/console.ts'
import { startServer } from '../support/server.ts'
import { closeBrowser, expectLooks, newVisitor, signIn, test, wider } from './support.ts'

afterAll(closeBrowser)

test('an operator is made, whose token is shown once and signs in, is rotated, which signs out, and is deleted', async () => {
  await using server = await startServer()
  const visitor = await newVisitor(server)
  const page = await visitor.open('/operators')
  await signIn(page)
  await page.getByText('None. Until there are').waitFor()
  await page.getByRole('button', { name: 'New operator' }).click()
  await page.getByLabel('Name', { exact: true }).fill('Vera')
  await page.getByRole('button', { name: 'Create' }).click()
  const token = (await page.getByRole('dialog').locator('code').textContent()) ?? ''
  expect(token).toMatch(/^plo_/)
  await page.getByRole('button', { name: 'Done' }).click()
  await page.getByText('sees no texts').waitFor()
  expect(await page.content()).not.toContain(token)

  const vera = await newVisitor(server)
  const hers = await vera.open()
  await signIn(hers, token)
  await hers.locator('html[data-live]').waitFor()
  await hers.getByRole('button', { name: 'Settings' }).click()
  await hers.getByText('Signed in as Vera (viewer)').waitFor()

  await page.getByRole('button', { name: 'New token for Vera' }).click()
  await page.getByRole('button', { name: 'Make a new one' }).click()
  const next = (await page.getByRole('dialog').locator('code').textContent()) ?? ''
  await page.getByRole('button', { name: 'Done' }).click()
  // By itself: the stream of events has ended.
  await hers.getByLabel('Operator token').waitFor()
  await signIn(hers, next)
  await hers.getByRole('heading', { name: 'Conversations' }).waitFor()

  await page
    .getByRole('button', { name: /^End the token .* of Vera$/ })
    .first()
    .click()
  await page.getByRole('button', { name: 'End', exact: true }).and(page.getByRole('dialog').getByRole('button')).click()
  await page.getByText('The token was ended').waitFor()
  await page.getByRole('button', { name: 'Delete Vera' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await hers.getByLabel('Operator token').waitFor()
  await vera.close()
  expect(visitor.errors).toEqual([])
  await visitor.close()
})

test('a viewer sees what there is, no text and no act that works, and is told why', async ({ server, tenant }) => {
  const { conversations, configuration } = tenant.sdk.conversations.v1
  const { defaultChatServiceSid: service } = await configuration().fetch()
  const { sid } = await conversations.create({ friendlyName: 'Quiet' })
  await conversations(sid).messages.create({ author: 'ann', body: 'not for viewers' })
  const { token } = (await ask(server, 'POST', '/operators', { name: 'Viewer', role: 'viewer', accounts: [tenant.account_sid] }))
    .body
  const visitor = await newVisitor(server)
  const page = await visitor.open(`/services/${service}/conversations`)
  await signIn(page, token)
  await page.getByText('Quiet').click()
  await page.getByText('Your role viewer may not see what is written in messages.').waitFor()
  await page.getByText('Your role viewer may not do this.').waitFor()
  expect(await page.content()).not.toContain('not for viewers')
  const edit = page.getByRole('button', { name: 'Edit' }).first()
  expect([await edit.isDisabled(), await edit.getAttribute('title')]).toEqual([true, 'Your role viewer may not do this.'])
  expect(await page.getByLabel('Account', { exact: true }).locator('option').count()).toBe(1)
  await page.getByRole('link', { name: 'Configuration' }).click()
  await page.getByRole('link', { name: 'Account and keys' }).click()
  const rename = page.getByRole('button', { name: 'Rename' })
  await rename.waitFor()
  expect([await rename.isDisabled(), await rename.getAttribute('title')]).toEqual([true, 'Your role viewer may not change this.'])
  expect(await page.getByRole('link', { name: 'Operators' }).count()).toBe(0)
  expect(visitor.errors).toEqual([])
  await visitor.close()
})

test('an auditor is led to the audit log, sees nothing else and is told why, and can sign out', async ({ server, tenant }) => {
  const { sid, token } = (await ask(server, 'POST', '/operators', { name: 'Auditor', role: 'auditor' })).body
  for (const dark of [false, true]) {
    const visitor = await newVisitor(server, { width: 360, dark })
    const page = await visitor.open()
    // What may be seen is asked for, and nothing else.
    const refused: string[] = []
    page.on('response', (response) => {
      if (response.status() === 403) refused.push(response.url())
    })
    await signIn(page, token)
    await page.waitForURL(/\/console\/audit$/)
    const entries = page.getByRole('list', { name: 'Entries' }).getByRole('listitem')
    await entries.filter({ hasText: 'operator.created' }).first().waitFor()
    await page.getByLabel('Target').fill(sid)
    await page.getByRole('button', { name: 'Filter' }).click()
    await page.waitForURL((url) => url.searchParams.get('target') === sid)
    await expect.poll(() => entries.allTextContents()).toEqual([expect.stringContaining('operator.created')])
    await page.reload()
    await expect.poll(() => entries.count()).toBe(1)
    await page.getByRole('button', { name: 'Verify' }).click()
    await page.getByText(/All is well: \d+ entries are as they were written/).waitFor()
    expect(await page.getByRole('navigation').getByRole('link').allTextContents()).toEqual(['Audit log'])
    for (const name of ['Account', 'Service'])
      expect(await page.locator('header').getByLabel(name, { exact: true }).count()).toBe(0)
    expect(await violationsOf(page)).toEqual([])
    expect(await page.evaluate(wider)).toEqual([])

    await page.goto(`${server.url}/console/accounts/${tenant.account_sid}/privacy`)
    await page.getByText('Your role auditor may not see this.').waitFor()
    expect(await violationsOf(page)).toEqual([])
    expect(await page.evaluate(wider)).toEqual([])
    await page.getByRole('main').getByRole('link', { name: 'audit log' }).click()
    await entries.first().waitFor()
    await page.getByRole('link', { name: 'Parley' }).click()
    await page.waitForURL(/\/console\/audit$/)
    expect(refused).toEqual([])
    await page.getByRole('button', { name: 'Settings' }).click()
    await page.getByText('Signed in as Auditor (auditor)').waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Operator token').waitFor()
    expect(visitor.errors).toEqual([])
    await visitor.close()
  }
})

test('an auditor of some accounts is told that the audit log is about all', async ({ server, tenant }) => {
  const given = { name: 'Auditor of one', role: 'auditor', accounts: [tenant.account_sid] }
  const { token } = (await ask(server, 'POST', '/operators', given)).body
  const visitor = await newVisitor(server)
  const page = await visitor.open()
  await signIn(page, token)
  await page.getByText('this is for operators of all accounts').waitFor()
  await page.getByRole('button', { name: 'Settings' }).click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Operator token').waitFor()
  await visitor.close()
})

test('the page of operators looks right, light and dark, on a telephone, whatever names there are', async ({ server }) => {
  await ask(server, 'POST', '/operators', { name: '<img src=x onerror="window.pwned=1">', role: 'viewer' })
  await expectLooks(server, [['/operators', 'sees no texts']])
})
