import { afterAll, expect } from 'vitest'
import { closeBrowser, expectLooks, hostile, test } from './support.ts'

afterAll(closeBrowser)

test('a service is created, configured and deleted; the default one stays', async ({ tenant, visitor }) => {
  const v1 = tenant.sdk.conversations.v1
  const { defaultChatServiceSid } = await v1.configuration().fetch()
  const page = await visitor.open(`/accounts/${tenant.account_sid}/services`)
  await page.getByRole('link', { name: defaultChatServiceSid }).getByText('default', { exact: true }).waitFor()
  await page.getByRole('button', { name: 'New service' }).click()
  await page.getByLabel('Name', { exact: true }).fill('Second one')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name: 'Configuration' }).waitFor()
  const sid = /IS[0-9a-f]{32}/.exec(page.url())?.[0] ?? ''
  expect((await v1.services(sid).fetch()).friendlyName).toBe('Second one')
  // Its configuration: a role of this service, and reachability.
  const { sid: role } = await v1
    .services(sid)
    .roles.create({ friendlyName: 'readers', type: 'conversation', permission: ['leaveConversation'] })
  await page.reload()
  await page.getByLabel('Role of other participants').selectOption('readers')
  await page.getByLabel('Reachability').check()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('The configuration was saved').waitFor()
  const configuration = await v1.services(sid).configuration().fetch()
  expect(configuration.defaultConversationRoleSid).toBe(role)
  expect(configuration.reachabilityEnabled).toBe(true)
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('heading', { name: 'Services' }).waitFor()
  await page.getByRole('link', { name: sid }).waitFor({ state: 'detached' })
  await expect(v1.services(sid).fetch()).rejects.toThrow('not found')
  await page.getByRole('link', { name: defaultChatServiceSid }).click()
  await page.getByText('It cannot be deleted as long as it is the default.').waitFor()
  expect(await page.getByRole('button', { name: 'Delete' }).isDisabled()).toBe(true)
})

test('webhooks of account and service are set with their events; a refusal keeps what was typed', async ({
  tenant,
  visitor,
  catcher,
}) => {
  const v1 = tenant.sdk.conversations.v1
  const { defaultChatServiceSid: service } = await v1.configuration().fetch()
  const page = await visitor.open(`/accounts/${tenant.account_sid}/webhooks`)
  await page.getByLabel('Post-action URL').fill('no address')
  await page.getByLabel('onMessageAdded').check()
  await page.getByLabel('onConversationAdd', { exact: true }).check()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('alert').waitFor()
  expect(await page.getByLabel('onMessageAdded').isChecked()).toBe(true)
  await page.getByLabel('Post-action URL').fill(catcher.url())
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('The webhooks were saved').waitFor()
  const stored = await v1.configuration.webhooks().fetch()
  expect(stored).toMatchObject({ postWebhookUrl: catcher.url(), method: 'POST', target: 'webhook' })
  expect(stored.filters).toEqual(['onConversationAdd', 'onMessageAdded'])
  // The copied command does the same.
  await page.getByRole('button', { name: 'Copy the curl that makes it' }).click()
  const command = await page.evaluate<string>('navigator.clipboard.readText()')
  expect(command).toContain(`--data-urlencode 'Filters=onConversationAdd' --data-urlencode 'Filters=onMessageAdded'`)
  expect(command).toContain(`${tenant.url}/v1/Configuration/Webhooks'`)
  // Of the service: it replaces the account's.
  await page.goto(`${tenant.url}/console/services/${service}/webhooks`)
  await page.getByText('are sent as the account says').waitFor()
  await page.getByLabel('Post-action URL').fill(`${catcher.url()}?service`)
  await page.getByLabel('onConversationAdded').check()
  await page.getByLabel('Method').selectOption('GET')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('This replaces the webhooks of the account entirely').waitFor()
  await v1.conversations.create({ friendlyName: 'Told', xTwilioWebhookEnabled: 'true' })
  const told = await catcher.next()
  expect(told.method).toBe('GET')
  expect(told.params).toMatchObject({ EventType: 'onConversationAdded', FriendlyName: 'Told' })
  // No event is left: the empty choice is a choice.
  await page.getByLabel('onConversationAdded').uncheck()
  await page.getByLabel('Post-action URL').fill('')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('are sent as the account says').waitFor()
  expect((await v1.services(service).configuration.webhooks().fetch()).filters).toEqual([])
})

test('a list of several pages says that there is more only once there is', async ({ tenant, visitor }) => {
  const { services } = tenant.sdk.conversations.v1
  for (let i = 0; i < 50; i++) await services.create({ friendlyName: `Number ${i}` })
  const page = await visitor.open(`/accounts/${tenant.account_sid}/services`)
  await page.getByRole('button', { name: 'Load more' }).click()
  // With the default one.
  await page.getByRole('list', { name: 'Services' }).getByRole('link').nth(50).waitFor()
  expect(await page.getByRole('button', { name: 'There are more services' }).count()).toBe(0)
  // Whoever comes back is shown what is there by then.
  await services.create({ friendlyName: 'Made meanwhile' })
  await page.getByRole('link', { name: 'Defaults' }).click()
  await page.getByLabel('Default service').waitFor()
  await page.getByRole('link', { name: 'Services' }).click()
  await page.getByText('Made meanwhile').waitFor()
})

test('notifications and default timers are saved as they are shown', async ({ tenant, visitor }) => {
  const v1 = tenant.sdk.conversations.v1
  const { defaultChatServiceSid: service } = await v1.configuration().fetch()
  const page = await visitor.open(`/services/${service}/notifications`)
  const message = page.getByRole('group', { name: 'A new message' })
  await message.getByLabel('Notify', { exact: true }).check()
  await message.getByLabel('Template', { exact: true }).fill(`\${PARTICIPANT}: \${MESSAGE}`)
  await message.getByLabel('Badge').check()
  await page.getByRole('group', { name: 'Being removed' }).getByLabel('Sound').fill('ding')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('The notifications were saved').waitFor()
  const stored = await v1.services(service).configuration.notifications().fetch()
  expect(stored.newMessage).toMatchObject({
    enabled: true,
    template: `\${PARTICIPANT}: \${MESSAGE}`,
    badge_count_enabled: true,
    with_media: { enabled: false, template: null },
  })
  expect(stored.removedFromConversation).toMatchObject({ enabled: false, sound: 'ding' })
  await page.getByRole('link', { name: 'Defaults' }).click()
  await page.getByLabel('Becomes inactive after').fill('PT1S')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('alert').waitFor()
  await page.getByLabel('Becomes inactive after').fill('PT20M')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('The defaults were saved').waitFor()
  expect((await v1.configuration().fetch()).defaultInactiveTimer).toBe('PT20M')
  await page.getByLabel('Becomes inactive after').fill('')
  await page.getByRole('button', { name: 'Save' }).click()
  await expect.poll(async () => (await v1.configuration().fetch()).defaultInactiveTimer).toBe(null)
})

test('the pages of services pass axe, fit, and run nothing of a name', async ({ server, tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  const name = hostile.join(' ')
  const { sid } = await v1.services.create({ friendlyName: name })
  await v1.services(sid).roles.create({ friendlyName: name.slice(0, 60), type: 'conversation', permission: ['sendMessage'] })
  await v1
    .services(sid)
    .configuration.webhooks()
    .update({ postWebhookUrl: `https://example.com/${'x'.repeat(300)}` })
  await expectLooks(server, [
    [`/accounts/${tenant.account_sid}/services`, '<img src=x'],
    [`/services/${sid}`, '<img src=x'],
    [`/services/${sid}/webhooks`, 'replaces the webhooks of the account'],
    [`/services/${sid}/notifications`, 'Being added to a conversation'],
    [`/accounts/${tenant.account_sid}/defaults`, 'Default messaging service'],
    [`/accounts/${tenant.account_sid}/webhooks`, 'After a change'],
    [`/services/IS${'0'.repeat(32)}`, 'was not found'],
  ])
})
