import { afterAll, expect } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { startProvider } from '../support/openid-provider.ts'
import { startServer } from '../support/server.ts'
import { closeBrowser, newVisitor, test } from './support.ts'

afterAll(closeBrowser)

test('somebody signs in at a provider, comes back to the page where they began, and is signed out there, too', async () => {
  await using provider = await startProvider({
    ada: { name: 'Ada', groups: ['parley-admins'] },
    eve: { name: 'Eve', groups: [] },
  })
  const { openidIssuer, openidClientId, openidClientSecret, openidScope, openidRoles } = readConfig({
    PARLEY_OPENID_ISSUER: provider.issuer,
    PARLEY_OPENID_CLIENT_ID: provider.clientId,
    PARLEY_OPENID_CLIENT_SECRET: provider.clientSecret,
    PARLEY_OPENID_SCOPE: 'openid profile groups',
    PARLEY_OPENID_ROLES: '{"parley-admins":"support"}',
  })
  await using server = await startServer({ openidIssuer, openidClientId, openidClientSecret, openidScope, openidRoles })
  provider.serve(server.url)
  const visitor = await newVisitor(server)
  const page = await visitor.open('/deliveries?status=failed')
  const host = new URL(provider.issuer).host
  const enter = async (login: string) => {
    await page.getByRole('link', { name: `Sign in at ${host}` }).click()
    await page.getByPlaceholder('Enter any login').fill(login)
    await page.getByPlaceholder('and password').fill('x')
    await page.getByRole('button', { name: 'Sign-in' }).click()
    await page.getByRole('button', { name: 'Continue' }).click()
  }
  await enter('ada')
  await page.locator('html[data-live]').waitFor()
  expect(page.url()).toBe(`${server.url}/console/deliveries?status=failed`)
  await page.getByRole('button', { name: 'Settings' }).click()
  await page.getByText('Signed in as Ada (support)').waitFor()
  await page.reload()
  await page.locator('html[data-live]').waitFor()
  await page.getByRole('button', { name: 'Settings' }).click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('button', { name: 'Yes, sign me out' }).click()
  await page.getByLabel('Operator token').waitFor()
  expect(page.url()).toContain(server.url)

  await enter('eve')
  await page.getByRole('alert').filter({ hasText: 'You are in none of the groups' }).waitFor()
  expect(page.url()).not.toContain('problem')
  await visitor.close()
})
