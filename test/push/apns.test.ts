import { generateKeyPairSync, randomUUID } from 'node:crypto'
import forge from 'node-forge'
import { expect, onTestFinished, test } from 'vitest'
import { type ApnsPush, createApnsSender } from '../../src/push/apns.ts'
import { startApns } from '../support/push-services.ts'

const never = new AbortController().signal

interface Pair {
  readonly cert: string
  readonly key: string
}

/** An authority that signs for a server and for clients. */
function authority() {
  const own = forge.pki.rsa.generateKeyPair(2048)
  const name = [{ name: 'commonName', value: 'Test authority' }]
  const issue = (subject: forge.pki.CertificateField[], extensions: object[]): Pair => {
    const keys = forge.pki.rsa.generateKeyPair(2048)
    return { cert: certificate(subject, keys.publicKey, extensions), key: forge.pki.privateKeyToPem(keys.privateKey) }
  }
  const certificate = (subject: forge.pki.CertificateField[], key: forge.pki.rsa.PublicKey, extensions: object[]) => {
    const made = forge.pki.createCertificate()
    made.publicKey = key
    made.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(8))}`
    made.validity.notBefore = new Date('2020-01-01')
    made.validity.notAfter = new Date('2120-01-01')
    made.setSubject(subject)
    made.setIssuer(name)
    made.setExtensions(extensions)
    made.sign(own.privateKey, forge.md.sha256.create())
    return forge.pki.certificateToPem(made)
  }
  const ca = certificate(name, own.publicKey, [{ name: 'basicConstraints', cA: true }])
  return {
    ca,
    server: issue(
      [{ name: 'commonName', value: 'localhost' }],
      [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
    ),
    client: (topic: string | null) =>
      issue(
        [
          { name: 'commonName', value: 'Apple Push Services' },
          ...(topic ? [{ type: '0.9.2342.19200300.100.1.1', value: topic }] : []),
        ],
        [],
      ),
  }
}

function push(changes: Partial<ApnsPush>): ApnsPush {
  return {
    name: 'CR1 1',
    sandbox: false,
    token: 'device',
    id: randomUUID(),
    payload: { aps: { badge: 1 } },
    alert: false,
    certificate: '',
    private_key: '',
    secret: '',
    ...changes,
  }
}

test('a certificate authenticates the connection and names the topic', async () => {
  const { ca, server, client } = authority()
  const apns = await startApns({ tls: { ...server, ca } })
  const sender = createApnsSender({ baseUrl: apns.url, now: () => Date.now(), ca })
  onTestFinished(() => sender.close())
  const { cert, key } = client('com.example.chat')
  const sent = await sender.send(push({ certificate: cert, private_key: key, alert: true, token: 'a/b c' }), never)
  expect(sent).toMatchObject({ kind: 'answered', status: 200, error: null })
  expect(apns.pushes[0]).toMatchObject({
    token: 'a/b c',
    certificate: 'Apple Push Services',
    headers: { 'apns-topic': 'com.example.chat', 'apns-priority': '10' },
  })
  expect(apns.pushes[0]?.headers).not.toHaveProperty('authorization')
  // A key in the older form is read as well, and the connection is kept.
  const pkcs1 = forge.pki.privateKeyToPem(forge.pki.privateKeyFromPem(key))
  expect(pkcs1).toContain('BEGIN RSA PRIVATE KEY')
  await Promise.all(Array.from({ length: 20 }, () => sender.send(push({ certificate: cert, private_key: pkcs1 }), never)))
  expect(apns.sessions.opened).toBe(1)
  expect(apns.pushes).toHaveLength(21)
  // The topic of the Secret comes first; a certificate may name none.
  const plain = client(null)
  const given = { name: 'CR2 1', certificate: plain.cert, private_key: plain.key }
  expect(await sender.send(push({ ...given, secret: '{"topic":"com.example.other"}' }), never)).toMatchObject({ status: 200 })
  expect(apns.pushes.at(-1)?.headers['apns-topic']).toBe('com.example.other')
  expect(await sender.send(push({ ...given, name: 'CR2 2' }), never)).toMatchObject({
    kind: 'unsent',
    error: 'the certificate names no topic, and the Secret of the credential has none',
  })
})

test('a server that is not the one it seems to be gets nothing', async () => {
  const { ca, server, client } = authority()
  const apns = await startApns({ tls: { ...server, ca } })
  const { cert, key } = client('com.example.chat')
  const sender = createApnsSender({ baseUrl: apns.url, now: () => Date.now() })
  onTestFinished(() => sender.close())
  expect(await sender.send(push({ certificate: cert, private_key: key }), never)).toMatchObject({ kind: 'failed', status: null })
  expect(apns.pushes).toEqual([])
})

test('what cannot be reached, and who gives up, is reported', async () => {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const token = { private_key: key, secret: JSON.stringify({ key_id: 'K', team_id: 'T', topic: 'x' }) }
  const nobody = createApnsSender({ baseUrl: 'http://127.0.0.1:9', now: () => Date.now() })
  expect(await nobody.send(push(token), never)).toMatchObject({ kind: 'failed', error: expect.stringContaining('ECONNREFUSED') })
  const apns = await startApns()
  const { promise, resolve } = Promise.withResolvers<void>()
  onTestFinished(() => resolve())
  apns.reply(() => ({ status: 200, delayUntil: promise }))
  const sender = createApnsSender({ baseUrl: apns.url, now: () => Date.now() })
  onTestFinished(() => sender.close())
  const giveUp = new AbortController()
  const sent = sender.send(push(token), giveUp.signal)
  await expect.poll(() => apns.pushes).toHaveLength(1)
  giveUp.abort()
  expect(await sent).toMatchObject({ kind: 'failed', status: null })
})

test('a connection that does not answer is given up: the next push opens another', async () => {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const token = { private_key: key, secret: JSON.stringify({ key_id: 'K', team_id: 'T', topic: 'x' }) }
  const apns = await startApns()
  const { promise, resolve } = Promise.withResolvers<void>()
  onTestFinished(() => resolve())
  apns.reply(() => ({ status: 200, delayUntil: promise }))
  const impatient = createApnsSender({ baseUrl: apns.url, now: () => Date.now(), timeoutMs: 100 })
  onTestFinished(() => impatient.close())
  expect(await impatient.send(push(token), never)).toMatchObject({ kind: 'timeout', status: null, error: 'no response in time' })
  expect(await impatient.send(push(token), never)).toMatchObject({ kind: 'timeout' })
  await expect.poll(() => apns.sessions.opened).toBe(2)
})
