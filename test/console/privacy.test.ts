import { readFile } from 'node:fs/promises'
import { afterAll, expect } from 'vitest'
import type { ErasureRow } from '../../src/storage/schema.ts'
import { ask } from '../support/admin.ts'
import { conversationWith } from '../support/client.ts'
import { violationsOf } from '../support/console.ts'
import { startFileServer } from '../support/file-server.ts'
import type { Tenant } from '../support/tenant.ts'
import { closeBrowser, expectLooks, hostile, newVisitor, signIn, test, wider } from './support.ts'

afterAll(closeBrowser)

/** Alice and bob, with a message of each. Returns the conversation. */
async function scene(tenant: Tenant) {
  const conversation = tenant.sdk.conversations.v1.conversations(await conversationWith(tenant, 'alice', 'bob'))
  await conversation.messages.create({ author: 'alice', body: 'alice says' })
  await conversation.messages.create({ author: 'bob', body: 'bob says' })
  return conversation
}

const pathOf = ({ account_sid }: Tenant) => `/accounts/${account_sid}/privacy`
const bodies = async ({ messages }: Awaited<ReturnType<typeof scene>>) => (await messages.list()).map(({ body }) => body)

async function erased(tenant: Tenant, body: object): Promise<string> {
  const path = `/accounts/${tenant.account_sid}/erasures`
  const { id } = (await ask(tenant, 'POST', path, body)).body
  await expect.poll(async () => (await ask(tenant, 'GET', `${path}/${id}`)).body.status).toBe('done')
  return id
}

test('a person is counted, erased when the count is confirmed, and there is a proof of it', async ({ tenant, visitor }) => {
  const conversation = await scene(tenant)
  const page = await visitor.open(`/accounts/${tenant.account_sid}`)
  await page.getByRole('link', { name: 'Privacy' }).click()
  await page.getByText('Nobody has been erased').waitFor()
  await page.getByText('New erasure counts what there is of a person first').waitFor()
  await page.getByRole('button', { name: 'New erasure' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Identity or address').fill('alice')
  await dialog.getByLabel('Reference').fill('about alice')
  await dialog.getByRole('button', { name: 'Count' }).click()
  await dialog.getByRole('alert').getByText('reference must not name the person: it is kept').waitFor()
  await dialog.getByLabel('Reference').fill('ticket 7')
  await dialog.getByRole('button', { name: 'Count' }).click()
  // Her user, her participant and her message.
  await dialog.getByText('3 rows would be erased.').waitFor()
  await dialog.getByText('messages redacted').waitFor()
  expect(await bodies(conversation)).toEqual(['alice says', 'bob says'])

  const sure = dialog.getByLabel('The number of rows, 3, to be sure')
  await sure.fill('4')
  await dialog.getByRole('button', { name: 'Erase' }).click()
  expect(await dialog.locator('input:invalid').count()).toBe(1)
  await sure.fill('3')
  await dialog.getByRole('button', { name: 'Erase' }).click()
  await page.waitForURL(/\/privacy\/ER[0-9a-f]{32}$/)
  // The list, where the count is done, may be there for a moment longer; the page of one erasure says when it finished.
  await page.getByText('Finished').waitFor()
  await page.locator('.status-done').waitFor()
  expect(await bodies(conversation)).toEqual(['', 'bob says'])
  const id = new URL(page.url()).pathname.split('/').at(-1) ?? ''
  const proof = (await ask(tenant, 'GET', `/accounts/${tenant.account_sid}/erasures/${id}`)).body
  expect(proof).toMatchObject({ dry_run: false, status: 'done', reference: 'ticket 7', requested_by: 'console' })
  for (const text of [proof.subject_hash, proof.pseudonym, 'ticket 7', 'Finished', 'overwritten']) {
    await page.getByText(text).first().waitFor()
  }
  expect(await page.locator('main').textContent()).not.toContain('alice')
  await page.getByRole('button', { name: 'Copy as JSON' }).click()
  await page.getByText('The resource was copied').waitFor()
  expect(JSON.parse(await page.evaluate('navigator.clipboard.readText()'))).toEqual(proof)

  await page.getByRole('link', { name: 'All erasures' }).click()
  const rows = page.getByRole('list', { name: 'Erasures' }).getByRole('listitem')
  await expect
    .poll(() => rows.allTextContents())
    .toEqual([
      expect.stringMatching(/Erasure: ticket 7.*done.*3 rows · by console/),
      expect.stringContaining('Dry run: ticket 7'),
    ])
  await page.getByLabel('Kind').selectOption('true')
  await page.waitForURL((url) => url.searchParams.has('dry_run'))
  await expect.poll(() => rows.allTextContents()).toEqual([expect.stringContaining('Dry run')])
  await page.reload()
  await expect.poll(() => rows.allTextContents()).toEqual([expect.stringContaining('Dry run')])
  await page.getByLabel('Status').selectOption('failed')
  await page.getByText('No erasure matches').waitFor()
})

test('nothing is erased of a person when the dialog is cancelled after the count', async ({ tenant, visitor }) => {
  const conversation = await scene(tenant)
  const page = await visitor.open(pathOf(tenant))
  await page.getByRole('button', { name: 'New erasure' }).click()
  await page.getByLabel('The person is named by').selectOption('address')
  await page.getByLabel('Identity or address').fill('+15550001234')
  await page.getByLabel('Messages of the person').selectOption('delete')
  await page.getByRole('button', { name: 'Count' }).click()
  await page.getByText('Nothing of the person was found.').waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('list', { name: 'Erasures' }).getByText('Dry run').waitFor()
  const { erasures } = (await ask(tenant, 'GET', `/accounts/${tenant.account_sid}/erasures`)).body
  expect(erasures).toEqual([expect.objectContaining({ dry_run: true, messages: 'delete', subject: 'address' })])
  expect(await bodies(conversation)).toEqual(['alice says', 'bob says'])
})

test('a disclosure is a file of JSON lines with an end', async ({ tenant, visitor }) => {
  await scene(tenant)
  const page = await visitor.open(pathOf(tenant))
  await page.getByRole('button', { name: 'Disclose a person' }).click()
  await page.getByLabel('The person is named by').selectOption('address')
  await page.getByLabel('Identity or address').fill('nobody')
  await page.getByRole('button', { name: 'Download' }).click()
  await page.getByRole('alert').getByText('address must be a phone number').waitFor()
  await page.getByLabel('The person is named by').selectOption('identity')
  await page.getByLabel('Identity or address').fill('alice')
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()])
  expect(download.suggestedFilename()).toBe(`disclosure-${tenant.account_sid}.jsonl`)
  await page.getByText('A file with 3 rows was downloaded').waitFor()
  const lines = (await readFile(await download.path(), 'utf8')).trimEnd().split('\n')
  const records = lines.map((line) => JSON.parse(line))
  expect(records.map(({ kind }) => kind)).toEqual(['header', 'participant', 'user', 'message', 'end'])
  expect(records[3].resource.body).toBe('alice says')
})

test('one that has failed says how often, and when it is tried again', async () => {
  await using server = await startFileServer()
  const { account_sid } = server
  const broken: ErasureRow = {
    ...{ id: `ER${'0'.repeat(32)}`, account_sid, status: 'failed', dry_run: 0, messages: 'redact', subject: 'identity' },
    ...{ subject_hash: '', pseudonym: 'erased-0', requested_by: 'OP1', reference: 'ticket 9', sealed: 'not sealed' },
    ...{ step: 'messages', counts: '{"participants":2}', storage: null, owner: null, failures: 3 },
    ...{ date_retry: Date.UTC(2100, 0), date_created: 0, date_started: 0, date_finished: null },
  }
  await server.insert('erasures', broken)
  await expectLooks(server, [
    [`/accounts/${account_sid}/privacy?status=failed`, 'looking through messages, 2 rows so far, failed 3 times, next try in'],
    [`/accounts/${account_sid}/privacy/${broken.id}`, 'The log of the server says why.'],
  ])
})

test('a viewer may not, and is told why', async ({ server, tenant }) => {
  const { token } = (await ask(server, 'POST', '/operators', { name: 'Viewer', role: 'viewer' })).body
  const visitor = await newVisitor(server)
  const page = await visitor.open(pathOf(tenant))
  await signIn(page, token)
  await page.getByText('this needs the right manage, which the role viewer does not have').waitFor()
  for (const name of ['New erasure', 'Disclose a person']) {
    const button = page.getByRole('button', { name })
    expect([await button.isDisabled(), await button.getAttribute('title')]).toEqual([
      true,
      'Your role viewer may not change this.',
    ])
  }
  expect(await page.getByRole('link', { name: 'Privacy' }).count()).toBe(0)
  await visitor.close()
})

test('the pages look right, light and dark, on a telephone, whatever a reference says', async ({ server, tenant }) => {
  await scene(tenant)
  for (const reference of hostile) await erased(tenant, { identity: 'carol', dry_run: true, reference })
  const id = await erased(tenant, { identity: 'alice', reference: hostile[0] })
  const path = pathOf(tenant)
  await expectLooks(server, [
    [path, `Erasure: ${hostile[0]}`],
    [`${path}/${id}`, 'What was erased'],
    [`${path}?status=failed`, 'No erasure matches'],
    [`${path}?status=gone`, 'status must be'],
    [`${path}/ER${'f'.repeat(32)}`, 'was not found'],
  ])
})

test('the dialogs pass axe in light and dark, and fit a width of 360', async ({ server, tenant }) => {
  await scene(tenant)
  for (const dark of [false, true]) {
    const visitor = await newVisitor(server, { width: 360, dark })
    const page = await visitor.open(pathOf(tenant))
    await signIn(page)
    const expectLook = async () => {
      expect(await violationsOf(page)).toEqual([])
      expect(await page.evaluate(wider)).toEqual([])
    }
    await page.getByRole('button', { name: 'Disclose a person' }).click()
    await expectLook()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'New erasure' }).click()
    await expectLook()
    await page.getByLabel('Identity or address').fill('alice')
    await page.getByRole('button', { name: 'Count' }).click()
    await page.getByText('3 rows would be erased.').waitFor()
    await expectLook()
    expect(visitor.errors).toEqual([])
    await visitor.close()
  }
})
