import { afterAll, expect } from 'vitest'
import { packageVersion } from '../../src/package.ts'
import { startServer } from '../support/server.ts'
import { closeBrowser, expectLooks, newVisitor, signIn, test } from './support.ts'

afterAll(closeBrowser)

test('nodes and sizes are shown; the page passes axe and fits', async () => {
  await using server = await startServer()
  const { defaultChatServiceSid: service } = await server.sdk.conversations.v1.configuration().fetch()
  const upload = { headers: { 'content-type': 'text/plain' }, check: false }
  await server.call('POST', `/v1/Services/${service}/Media`, 'x'.repeat(1234), upload)
  const visitor = await newVisitor(server)
  const page = await visitor.open()
  await signIn(page)
  await page.getByRole('link', { name: 'Configuration' }).click()
  await page.getByRole('link', { name: 'Nodes and storage' }).click()
  const node = page.getByRole('list', { name: 'Nodes' }).getByRole('listitem')
  await node
    .filter({ hasText: 'this one' })
    .filter({ hasText: `version ${packageVersion()}` })
    .waitFor()
  await node.filter({ hasText: 'nothing waits' }).waitFor()
  await page.getByText('1.2 kB in 1 files, as uploaded').waitFor()
  if (process.env.PARLEY_TEST_ENGINE === 'postgres') await page.getByRole('row', { name: 'conversations' }).first().waitFor()
  expect(visitor.errors).toEqual([])
  await visitor.close()
  await expectLooks(server, [['/installation', 'as uploaded']])
})
