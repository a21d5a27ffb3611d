import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer as createHttp2,
  createSecureServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'
import { jwtVerify } from 'jose'
import { onTestFinished } from 'vitest'
import { type Asked, standIn } from './http-stand-in.ts'

/** What a stand-in replies to a push; by default that it takes it. */
export interface PushReply {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: object
  /** Cuts the connection instead. */
  readonly hangUp?: boolean
  /** The reply waits for this. */
  readonly delayUntil?: Promise<unknown>
}

export interface FcmPush {
  readonly project: string
  readonly authorization: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: tests look into messages of every kind
  readonly message: any
}

/** FCM's HTTP v1 API and Google's endpoint of tokens, which checks who asks. */
export interface FcmStandIn {
  readonly url: string
  /** The JSON file of a service account, as the console makes it. */
  account(changes?: object): string
  readonly pushes: FcmPush[]
  /** How many tokens were asked for, with success or without. */
  readonly tokens: { granted: number; refused: number }
  /** Tokens that it takes: all that it has granted, but for those that a test takes away. */
  readonly valid: Set<string>
  reply(reply: (push: FcmPush) => PushReply): void
  replyToTokens(reply: () => PushReply | null): void
}

const taken: PushReply = { status: 200, body: { name: 'projects/x/messages/1' } }

export async function startFcm(): Promise<FcmStandIn> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pushes: FcmPush[] = []
  const tokens = { granted: 0, refused: 0 }
  const valid = new Set<string>()
  let reply: (push: FcmPush) => PushReply = () => taken
  let tokenReply: () => PushReply | null = () => null
  const client_email = 'push@parley-test.iam.gserviceaccount.com'

  async function grant(asked: Asked): Promise<PushReply> {
    const given = tokenReply()
    if (given) {
      tokens.refused++
      return given
    }
    const form = new URLSearchParams(asked.body.toString())
    try {
      if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') throw new Error('grant_type')
      const audience = `${url}/token`
      const { payload, protectedHeader } = await jwtVerify(form.get('assertion') ?? '', publicKey, {
        algorithms: ['RS256'],
        audience,
        issuer: client_email,
        requiredClaims: ['iat', 'exp'],
      })
      if (payload.scope !== 'https://www.googleapis.com/auth/firebase.messaging') throw new Error('scope')
      if (protectedHeader.kid !== 'key-1') throw new Error('kid')
    } catch {
      tokens.refused++
      return { status: 400, body: { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' } }
    }
    const access_token = `token-${++tokens.granted}`
    valid.add(access_token)
    return { status: 200, body: { access_token, expires_in: 3599, token_type: 'Bearer' } }
  }

  async function push({ method, path, headers: { authorization }, body }: Asked): Promise<PushReply> {
    const project = /^\/v1\/projects\/([^/]+)\/messages:send$/.exec(path)?.[1]
    if (method !== 'POST' || project === undefined) return { status: 404 }
    if (!valid.has(authorization?.replace('Bearer ', '') ?? '')) return { status: 401, body: fcmError(401, 'UNAUTHENTICATED') }
    const { message } = JSON.parse(body.toString())
    const made = { project, authorization, message }
    pushes.push(made)
    return reply(made)
  }

  const server = await standIn(async (asked) => {
    const { delayUntil, body = {}, ...answered } = await (asked.path === '/token' ? grant(asked) : push(asked))
    await delayUntil
    return { ...answered, body }
  })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const { url } = server
  return {
    url,
    account: (changes = {}) =>
      JSON.stringify({
        type: 'service_account',
        project_id: 'parley-test',
        private_key_id: 'key-1',
        private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
        client_email,
        token_uri: `${url}/token`,
        ...changes,
      }),
    pushes,
    tokens,
    valid,
    reply: (next) => {
      reply = next
    },
    replyToTokens: (next) => {
      tokenReply = next
    },
  }
}

/** The body of a refusal. `code`: FCM's own. */
export function fcmError(status: number, name: string, code?: string, more: object[] = []): object {
  const own = code ? [{ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode: code }] : []
  return { error: { code: status, message: 'refused', status: name, details: [...own, ...more] } }
}

export interface ApnsPush {
  readonly headers: IncomingHttpHeaders
  /** Of the path. */
  readonly token: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into payloads of every kind
  readonly payload: any
  /** The common name of the client's certificate; undefined when it has none. */
  readonly certificate: string | undefined
}

export interface ApnsStandIn {
  readonly url: string
  readonly pushes: ApnsPush[]
  /** How many connections there were. */
  readonly sessions: { opened: number }
  reply(reply: (push: ApnsPush) => PushReply): void
  /** Ends all connections. */
  goAway(): void
}

interface ApnsOptions {
  /** Without it: HTTP/2 without TLS. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string }
  /** Verifies the tokens that it is sent; each push without a good one is refused. */
  readonly tokens?: { readonly key: KeyObject; readonly team_id: string; readonly key_id: string }
}

export async function startApns({ tls, tokens }: ApnsOptions = {}): Promise<ApnsStandIn> {
  const pushes: ApnsPush[] = []
  const sessions = { opened: 0 }
  const open = new Set<ServerHttp2Session>()
  let reply: (push: ApnsPush) => PushReply = () => ({ status: 200 })

  async function refusal(authorization: string | undefined): Promise<PushReply | null> {
    if (!tokens) return null
    try {
      const { protectedHeader, payload } = await jwtVerify(authorization?.replace(/^bearer /, '') ?? '', tokens.key, {
        algorithms: ['ES256'],
        issuer: tokens.team_id,
        requiredClaims: ['iat'],
      })
      if (protectedHeader.kid !== tokens.key_id || payload.exp !== undefined) throw new Error('kid')
      return null
    } catch {
      return { status: 403, body: { reason: 'InvalidProviderToken' } }
    }
  }

  const server: Http2Server | Http2SecureServer = tls
    ? createSecureServer({ ...tls, requestCert: true, rejectUnauthorized: true })
    : createHttp2()
  server.on('session', (session) => {
    sessions.opened++
    open.add(session)
    session.on('close', () => open.delete(session))
  })
  server.on('stream', (stream, headers) => {
    const handle = async () => {
      const token = decodeURIComponent(/^\/3\/device\/(.+)$/.exec(String(headers[':path']))?.[1] ?? '')
      const payload = JSON.parse(await text(stream))
      const socket = stream.session?.socket
      const peer = tls && socket ? (socket as TLSSocket).getPeerCertificate() : undefined
      const push = { headers, token, payload, certificate: peer?.subject?.CN as string | undefined }
      pushes.push(push)
      const { status, headers: more, body, hangUp, delayUntil } = (await refusal(headers.authorization)) ?? reply(push)
      await delayUntil
      if (hangUp) return stream.session?.destroy()
      stream.respond({ ...more, ':status': status, 'apns-id': headers['apns-id'] })
      stream.end(body ? JSON.stringify(body) : '')
    }
    stream.on('error', () => {})
    handle().catch(() => stream.close())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const goAway = () => {
    for (const session of open) session.close()
  }
  onTestFinished(() => {
    server.close()
    for (const session of open) session.destroy()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls ? 'https' : 'http'}://localhost:${port}`.replace('http://localhost', 'http://127.0.0.1'),
    pushes,
    sessions,
    reply: (next) => {
      reply = next
    },
    goAway,
  }
}
