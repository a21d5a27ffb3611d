import { expect } from 'vitest'
import { Vault } from '../../src/vault.ts'
import { registerBinding } from '../support/bindings.ts'
import { secretKey } from '../support/file-server.ts'
import { test, testWithRows } from '../support/fixtures.ts'
import { sdkFor } from '../support/sdk.ts'

const invalid = { status: 400, code: 20422, message: 'Invalid Parameter' }
const missing = 'CR00000000000000000000000000000000'

test('a credential is made, read, changed, listed and deleted', async ({ tenant }) => {
  const { credentials } = tenant.sdk.conversations.v1
  const made = await credentials.create({ type: 'apn', friendlyName: 'Phones', certificate: 'C', privateKey: 'P' })
  expect(made).toMatchObject({ accountSid: tenant.account_sid, friendlyName: 'Phones', type: 'apn', sandbox: 'False' })
  expect(made.sid).toMatch(/^CR[0-9a-f]{32}$/)
  expect(made.dateUpdated).toEqual(made.dateCreated)
  expect(made.url).toBe(`${tenant.url}/v1/Credentials/${made.sid}`)
  expect((await credentials(made.sid).fetch()).toJSON()).toEqual(made.toJSON())
  await tenant.advance('PT1S')
  const changed = await credentials(made.sid).update({ friendlyName: 'Tablets', sandbox: true })
  expect(changed).toMatchObject({ friendlyName: 'Tablets', sandbox: 'True', type: 'apn' })
  expect(changed.dateUpdated.getTime()).toBeGreaterThan(made.dateUpdated.getTime())
  const second = await credentials.create({ type: 'fcm', secret: 'S' })
  expect((await credentials.list()).map(({ sid }) => sid)).toEqual([made.sid, second.sid])
  expect((await credentials.list({ pageSize: 1 })).map(({ sid }) => sid)).toEqual([made.sid, second.sid])
  expect(await credentials(made.sid).remove()).toBe(true)
  await expect(credentials(made.sid).fetch()).rejects.toMatchObject({
    status: 404,
    code: 20404,
    message: `The requested resource /Credentials/${made.sid} was not found`,
  })
})

test('sandbox is a text, and only where it means something; a type may be in any letter case', async ({ tenant }) => {
  const cases: [form: Record<string, string>, type: string, sandbox: string | null][] = [
    [{ Type: 'apn' }, 'apn', 'False'],
    [{ Type: 'APN', Sandbox: 'TRUE' }, 'apn', 'True'],
    [{ Type: 'apn', Sandbox: 'false' }, 'apn', 'False'],
    [{ Type: 'GcM' }, 'gcm', null],
    [{ Type: 'FcM' }, 'fcm', null],
    [{ Type: 'fcm', Sandbox: 'true' }, 'fcm', null],
  ]
  for (const [form, type, sandbox] of cases) {
    const { status, body } = await tenant.call('POST', '/v1/Credentials', form)
    expect(status).toBe(201)
    expect(body, JSON.stringify(form)).toMatchObject({ type, sandbox, friendly_name: null })
  }
})

test('an update keeps what is absent; another type changes what sandbox means', async ({ tenant }) => {
  const { credentials } = tenant.sdk.conversations.v1
  const { sid } = await credentials.create({ type: 'apn', friendlyName: 'Phones', sandbox: true })
  expect(await credentials(sid).update({})).toMatchObject({ friendlyName: 'Phones', type: 'apn', sandbox: 'True' })
  expect(await credentials(sid).update({ secret: 'S' })).toMatchObject({ type: 'apn', sandbox: 'True' })
  expect(await credentials(sid).update({ type: 'fcm' })).toMatchObject({ friendlyName: 'Phones', type: 'fcm', sandbox: null })
  expect(await credentials(sid).update({ type: 'apn' })).toMatchObject({ type: 'apn', sandbox: 'False' })
  const { body } = await tenant.call('POST', `/v1/Credentials/${sid}`, { FriendlyName: '', Sandbox: '' })
  expect(body).toMatchObject({ friendly_name: null, sandbox: 'False' })
})

test('what is wrong is refused and nothing changes', async ({ tenant }) => {
  const { body: before } = await tenant.call('POST', '/v1/Credentials', { Type: 'apn', FriendlyName: 'Phones' })
  const onlyType = { status: 400, code: 20001, message: 'Missing required parameter Type in the post body' }
  const tooLong = { status: 400, code: 50003, message: 'Friendly name too long' }
  const cases: [form: Record<string, string>, onCreate: object, onUpdate: object | null][] = [
    [{}, onlyType, null],
    [{ type: 'apn' }, onlyType, null],
    [{ Type: '' }, onlyType, invalid],
    [{ Type: 'apns' }, invalid, invalid],
    [{ Type: 'apn', FriendlyName: 'x'.repeat(65) }, tooLong, tooLong],
    [{ Type: 'apn', Sandbox: 'yes' }, invalid, invalid],
    [{ Type: 'apn', Certificate: 'a\0b' }, invalid, invalid],
  ]
  for (const [form, onCreate, onUpdate] of cases) {
    expect((await tenant.call('POST', '/v1/Credentials', form)).body, JSON.stringify(form)).toMatchObject(onCreate)
    if (!onUpdate) continue
    expect((await tenant.call('POST', `/v1/Credentials/${before.sid}`, form)).body, JSON.stringify(form)).toMatchObject(onUpdate)
  }
  expect((await tenant.call('GET', '/v1/Credentials')).body.credentials).toEqual([before])
})

test('a credential of another account is not there', async ({ tenant }) => {
  const { sid } = await tenant.sdk.conversations.v1.credentials.create({ type: 'gcm', apiKey: 'K' })
  const other = await tenant.admin('POST', '/accounts', { friendly_name: 'Other' })
  const theirs = sdkFor(tenant, other.sid, other.auth_token).conversations.v1.credentials
  const gone = { status: 404, code: 20404 }
  await expect(theirs(sid).fetch()).rejects.toMatchObject(gone)
  await expect(theirs(sid).update({ friendlyName: 'Mine' })).rejects.toMatchObject(gone)
  await expect(theirs(sid).remove()).rejects.toMatchObject(gone)
  expect(await theirs.list()).toEqual([])
  expect((await tenant.sdk.conversations.v1.credentials(sid).fetch()).friendlyName).toBeNull()
})

testWithRows('secrets are in no answer and nowhere in the open on disk, yet can be opened', async ({ server, tenant }) => {
  const vault = new Vault(secretKey)
  const opened = async () => {
    const row = (await server.rows('credentials')).find(({ account_sid }) => account_sid === tenant.account_sid)
    const held = JSON.parse(row?.secrets ?? '{}') as Record<string, string>
    return Object.fromEntries(Object.entries(held).map(([name, sealed]) => [name, vault.open(sealed)]))
  }
  const Certificate = '-----BEGIN CERTIFICATE----- MIIFnTCCBIWgAwIBAgI'
  const PrivateKey = '-----BEGIN RSA PRIVATE KEY----- MIIEpQIBAAKCAQEAuyf'
  const ApiKey = 'AIzaSyA-the-key-of-an-older-service'
  const answers: unknown[] = []
  const call = async (method: string, path: string, form?: Record<string, string>) => {
    const { body } = await tenant.call(method, path, form)
    answers.push(body)
    return body
  }
  const { sid } = await call('POST', '/v1/Credentials', { Type: 'apn', Certificate, PrivateKey, ApiKey })
  expect(await opened()).toEqual({ Certificate, PrivateKey })
  await call('POST', `/v1/Credentials/${sid}`, { FriendlyName: 'Phones' })
  await call('POST', `/v1/Credentials/${sid}`, { PrivateKey: 'another-private-key' })
  expect(await opened()).toEqual({ Certificate, PrivateKey: 'another-private-key' })
  await call('POST', `/v1/Credentials/${sid}`, { Certificate: '' })
  expect(await opened()).toEqual({ PrivateKey: 'another-private-key' })
  await call('POST', `/v1/Credentials/${sid}`, { Type: 'gcm', ApiKey })
  expect(await opened()).toEqual({ ApiKey })
  await call('GET', `/v1/Credentials/${sid}`)
  await call('GET', '/v1/Credentials')
  await call('GET', `/v1/Credentials/${missing}`)
  for (const secret of [Certificate, PrivateKey, ApiKey, 'another-private-key']) {
    expect(JSON.stringify(answers)).not.toContain(secret)
    expect(await server.holds(secret)).toBe(false)
  }
  expect(await server.holds(sid)).toBe(true)
})

testWithRows('deleting a credential takes the bindings that use it along, and no others', async ({ server, tenant }) => {
  const { v1 } = tenant.sdk.conversations
  const gone = await v1.credentials.create({ type: 'fcm', secret: 'S' })
  const kept = await v1.credentials.create({ type: 'fcm', secret: 'S' })
  const service_sid = (await v1.services.create({ friendlyName: 'Support' })).sid
  const register = (credential_sid: string) => registerBinding(server, tenant, { service_sid, credential_sid })
  const first = await register(gone.sid)
  await register(gone.sid)
  await register(kept.sid)
  const { bindings } = v1.services(service_sid)
  // Kept in memory from here on.
  expect((await bindings(first).fetch()).credentialSid).toBe(gone.sid)
  expect(await v1.credentials(gone.sid).remove()).toBe(true)
  await expect(bindings(first).fetch()).rejects.toMatchObject({ status: 404, code: 20404 })
  expect((await bindings.list()).map(({ credentialSid }) => credentialSid)).toEqual([kept.sid])
})
