import { afterAll, expect } from 'vitest'
import { ask } from '../support/admin.ts'
import { closeBrowser, expectLooks, newVisitor, signIn, test } from './support.ts'

afterAll(closeBrowser)

test('an operator is made, whose token is shown once and signs in, is rotated, which signs out, and is deleted', async ({
  server,
  visitor,
}) => {
  const page = await visitor.open('/operators')
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

test('an auditor is told what is missing, and can sign out', async ({ server }) => {
  const { token } = (await ask(server, 'POST', '/operators', { name: 'Auditor', role: 'auditor' })).body
  const visitor = await newVisitor(server)
  const page = await visitor.open()
  await signIn(page, token)
  await page.getByText('this needs the right read, which the role auditor does not have').waitFor()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Operator token').waitFor()
  await visitor.close()
})

test('the page of operators looks right, light and dark, on a telephone, whatever names there are', async ({ server }) => {
  await ask(server, 'POST', '/operators', { name: '<img src=x onerror="window.pwned=1">', role: 'viewer' })
  await expectLooks(server, [['/operators', 'sees no texts']])
})
