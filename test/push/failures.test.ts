import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { message, pushed, scene, team } from '../support/push-scene.ts'
import { fcmError } from '../support/push-services.ts'

describe('a device that the push service calls gone', () => {
  const gone = { status: 404, body: fcmError(404, 'NOT_FOUND', 'UNREGISTERED') }

  test.each([
    ['unregistered', gone],
    ['of another sender', { status: 403, body: fcmError(403, 'PERMISSION_DENIED', 'SENDER_ID_MISMATCH') }],
    ['no token at all', { status: 400, body: fcmError(400, 'INVALID_ARGUMENT', 'INVALID_ARGUMENT') }],
  ])('is forgotten by FCM: %s', async (_, reply) => {
    const { fcm, rest, register, service, deliveries } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'old-phone')
    await register('bob', 'new-phone')
    fcm.reply((push) => (push.message.token === 'old-phone' ? reply : { status: 200 }))
    await rest.messages.create({ author: 'ann', body: 'first' })
    await expect.poll(async () => (await service.bindings.list()).map(({ endpoint }) => endpoint)).toEqual(['new-phone'])
    const [failed] = (await deliveries()).filter(({ status }) => status === 'failed')
    expect(failed?.attempts).toHaveLength(1)
    await rest.messages.create({ author: 'ann', body: 'second' })
    await pushed(fcm, 3)
    expect(fcm.pushes[2]?.message.token).toBe('new-phone')
  })

  test.each([
    [410, 'Unregistered'],
    [410, 'ExpiredToken'],
    [400, 'BadDeviceToken'],
    [400, 'DeviceTokenNotForTopic'],
  ])('is forgotten by APNs: %i %s', async (status, reason) => {
    const { apns, rest, register, service } = await scene(message)
    await service.configuration().update({ reachabilityEnabled: true })
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'iphone', 'apn')
    expect((await service.users('bob').fetch()).isNotifiable).toBe(true)
    await expect.poll(async () => (await service.users('bob').fetch()).isOnline).toBe(false)
    apns.reply(() => ({ status, body: { reason } }))
    await rest.messages.create({ author: 'ann', body: 'first' })
    await expect.poll(() => service.bindings.list()).toEqual([])
    expect((await service.users('bob').fetch()).isNotifiable).toBe(false)
  })

  test.each([
    [410, {}],
    [410, { reason: 'Moved' }],
    [404, { reason: 'Unregistered' }],
  ])('is kept when a status without its reason is in the place of what APNs says: %i %j', async (status, body) => {
    const { apns, rest, register, service, deliveries } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'iphone', 'apn')
    apns.reply(() => ({ status, body }))
    await rest.messages.create({ author: 'ann', body: 'first' })
    await expect.poll(async () => (await deliveries()).map((one) => one.status)).toEqual(['failed'])
    expect(await service.bindings.list()).toHaveLength(1)
  })

  test.each([
    [
      'the message',
      400,
      fcmError(400, 'INVALID_ARGUMENT', 'INVALID_ARGUMENT', [{ '@type': 'type.googleapis.com/google.rpc.BadRequest' }]),
    ],
    ['the project', 404, fcmError(404, 'NOT_FOUND')],
    ['nobody', 403, { error: 'text' }],
  ])('is kept when the fault is with %s', async (_, status, body) => {
    const { fcm, rest, register, service, deliveries } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'phone')
    fcm.reply(() => ({ status, body }))
    await rest.messages.create({ author: 'ann', body: 'first' })
    await expect.poll(async () => (await deliveries()).map((one) => one.status)).toEqual(['failed'])
    expect(await service.bindings.list()).toHaveLength(1)
  })
})

describe('what fails', () => {
  test('for a while is tried again; a token that has become invalid is replaced', async () => {
    const { server, fcm, rest, register, deliveries } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'phone')
    const replies = [{ status: 503 }, { status: 429 }, { status: 200, hangUp: true }, { status: 200 }]
    fcm.reply(() => replies.shift() ?? { status: 500 })
    await rest.messages.create({ author: 'ann', body: 'first' })
    for (let tried = 1; tried < 4; tried++) {
      await expect.poll(async () => (await deliveries())[0]?.attempts).toHaveLength(tried)
      await server.advance('PT1M')
    }
    await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
    expect((await deliveries())[0]?.attempts.map(({ status }) => status)).toEqual([503, 429, null, 200])
    fcm.reply(() => ({ status: 200 }))
    fcm.valid.clear()
    await rest.messages.create({ author: 'ann', body: 'second' })
    await expect.poll(async () => (await deliveries())[0]?.attempts).toHaveLength(1)
    await server.advance('PT1M')
    await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
    expect(fcm.tokens).toEqual({ granted: 2, refused: 0 })
    const scraped = await (await fetch(`${server.metricsUrl}/metrics`)).text()
    expect(scraped).toContain('parley_push_attempts_total{outcome="5xx"} 1')
    expect(scraped).toContain('parley_push_attempts_total{outcome="2xx"} 2')
  })

  test('is left alone for as long as the service asks, its other devices are not', async () => {
    const { server, fcm, apns, rest, register, deliveries } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'phone')
    await register('bob', 'iphone', 'apn')
    fcm.reply(() => ({ status: 429, headers: { 'retry-after': '3000' } }))
    apns.reply(() => ({ status: 503, headers: { 'retry-after': '3000' } }))
    await rest.messages.create({ author: 'ann', body: 'first' })
    await expect.poll(async () => (await deliveries()).map(({ attempts }) => attempts.length)).toEqual([1, 1])
    for (const service of [fcm, apns]) service.reply(() => ({ status: 200 }))
    await server.advance('PT30M')
    await register('bob', 'other-phone')
    await register('bob', 'other-iphone', 'apn')
    await rest.messages.create({ author: 'ann', body: 'second' })
    await Promise.all([pushed(fcm, 2), pushed(apns, 2)])
    expect(fcm.pushes[1]?.message.token).toBe('other-phone')
    expect(apns.pushes[1]?.token).toBe('other-iphone')
    await server.advance('PT30M')
    await Promise.all([pushed(fcm, 4), pushed(apns, 4)])
    await expect.poll(async () => (await deliveries()).every(({ status }) => status === 'delivered')).toBe(true)
  })

  test('APNs: a connection that ends and a token that is too old are replaced', async () => {
    const { server, apns, rest, register, deliveries } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'iphone', 'apn')
    await rest.messages.create({ author: 'ann', body: 'first' })
    await pushed(apns, 1)
    await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
    apns.goAway()
    await rest.messages.create({ author: 'ann', body: 'second' })
    // It may have been sent before the end of the connection was known.
    await expect.poll(async () => (await deliveries())[0]?.attempts).not.toEqual([])
    await server.advance('PT1M')
    await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
    expect(apns.sessions.opened).toBe(2)
    const before = apns.pushes.at(-1)?.headers.authorization
    const replies = [
      { status: 403, body: { reason: 'ExpiredProviderToken' } },
      { status: 200, hangUp: true },
    ]
    apns.reply(() => replies.shift() ?? { status: 200 })
    await rest.messages.create({ author: 'ann', body: 'third' })
    for (let tried = 1; tried < 3; tried++) {
      await expect.poll(async () => (await deliveries())[0]?.attempts).toHaveLength(tried)
      await server.advance('PT1M')
    }
    await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
    const [refused, cut, last] = apns.pushes.slice(-3).map(({ headers }) => headers.authorization)
    expect(refused).toBe(before)
    expect(cut).not.toBe(refused)
    expect(last).toBe(cut)
  })

  test('for good says why, and costs no device', async () => {
    const { v1, fcm, apns, rest, register, deliveries, credentials, service } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'phone')
    await register('bob', 'iphone', 'apn')
    const reasons = async (): Promise<(string | null | undefined)[]> => {
      const before = (await deliveries()).length
      await rest.messages.create({ author: 'ann', body: 'x' })
      await expect
        .poll(async () => (await deliveries()).slice(0, -before || undefined).filter(({ status }) => status === 'failed'))
        .toHaveLength(2)
      const made = (await deliveries()).slice(0, 2)
      return made.toSorted((a) => (a.target_sid === credentials.fcm ? -1 : 1)).map(({ attempts }) => attempts[0]?.error)
    }
    const update = (fcmSecret: string, apn: object) =>
      Promise.all([
        v1.credentials(credentials.fcm).update({ secret: fcmSecret }),
        v1.credentials(credentials.apn).update({ ...apn }),
      ])
    await update('AAAA-legacy-key', { secret: 'none' })
    expect(await reasons()).toEqual([
      'the secret of the credential is not the JSON of a service account',
      'without a certificate the Secret of the credential must be a JSON object with key_id, team_id and topic',
    ])
    await update(fcm.account({ private_key: 'none' }), { privateKey: 'none' })
    expect(await reasons()).toEqual([
      'the secret of the credential is not the JSON of a service account',
      'the certificate or the private key of the credential is not PEM',
    ])
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    await update(fcm.account({ private_key: pem }), { privateKey: pem, secret: JSON.stringify({ ...team, topic: 'x' }) })
    expect(await reasons()).toEqual(['no access token from Google: invalid_grant', 'the private key is none for APNs tokens'])
    const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    }) as string
    await update(fcm.account({ token_uri: 'file:///etc/passwd' }), { privateKey: foreign })
    expect(await reasons()).toEqual([
      'the secret of the credential is not the JSON of a service account',
      'HTTP 403: InvalidProviderToken',
    ])
    expect(fcm.pushes).toEqual([])
    expect(apns.pushes).toHaveLength(1)
    expect(await service.bindings.list()).toHaveLength(2)
  })
})

test('a push that was dropped by the operator says so, and nothing follows from it', async () => {
  const { server, fcm, rest, register, deliveries, credentials, service } = await scene(message)
  await rest.participants.create({ identity: 'bob' })
  await register('bob', 'phone')
  fcm.reply(() => ({ status: 503 }))
  const sent = await rest.messages.create({ author: 'ann', body: 'x' })
  await expect.poll(async () => (await deliveries())[0]?.attempts).toHaveLength(1)
  expect(await server.admin('DELETE', `/deliveries?target_sid=${credentials.fcm}`)).toEqual({ dropped: 1 })
  expect((await deliveries())[0]).toMatchObject({ status: 'failed', attempts: [{}, { error: 'dropped by the operator' }] })
  expect(await rest.messages(sent.sid).deliveryReceipts.list()).toEqual([])
  expect(await service.bindings.list()).toHaveLength(1)
})
