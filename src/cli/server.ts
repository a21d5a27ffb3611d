import { randomBytes } from 'node:crypto'
import { get } from 'node:http'
import { request } from 'undici'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { secretFile } from '../data-folders.ts'
import { codeOf } from '../errors.ts'
import { announcedEndpoint } from '../installation/announcement.ts'
import { type Endpoint, identityKeys, identityProof } from '../installation/identity.ts'
import { readIfThere, storedVault } from '../installation/secrets.ts'
import { packageVersion } from '../package.ts'
import { sameSecret } from '../vault.ts'

/** A request to `/admin/v1`. `T`: the type of the response, which the caller knows from the path. Throws ConfigError. */
export type Call = <T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object) => Promise<T>

/** A server, and where it listens. */
export interface RunningServer {
  readonly call: Call
  readonly endpoint: Endpoint
  readonly url: string
  /** The operator token. */
  readonly token: string
}

/** The running server, or why there is none that may be sent the operator token, as a clause. */
export type Found = RunningServer | { readonly call: null; readonly reason: string }

/** How long a program that listens may take to prove that it is the server. */
const proofTimeoutMs = 5000

/**
 * Looks for the server of this installation where it says that it listens, and at the address that the settings name. It is sent
 * the operator token only after it has proved that it has the secret key. Throws ConfigError when a file of a secret has something
 * else in it.
 */
export async function findServer(config: Config): Promise<Found> {
  const announced = announcedEndpoint(config)
  const found = announced && (await findServerAt(config, announced.address, announced.port))
  if (found?.call) return found
  const host = config.host === '0.0.0.0' || config.host === '::' ? '127.0.0.1' : config.host
  return findServerAt(config, host, config.port)
}

async function findServerAt(config: Config, host: string, port: number): Promise<Found> {
  const token = config.adminToken ?? readIfThere(secretFile(config, 'admin-token'))
  const unrecognised = (secret: string) => `a server on ${host}:${port} cannot be recognised without ${secret}`
  if (token === null) return { call: null, reason: unrecognised('the operator token') }
  const keys = identityKeys(config, storedVault(config), token)
  if (keys.length === 0) return { call: null, reason: unrecognised('the secret key of the installation') }
  const nonce = randomBytes(32).toString('hex')
  const answer = await askForProof(host, port, nonce)
  if (answer === null) return { call: null, reason: `no server listens on ${host}:${port}` }
  if (!keys.some((key) => sameSecret(answer.proof, identityProof(key, nonce, answer.endpoint)))) {
    const unproven = `what listens on ${host}:${port} does not prove to be its server, so that it was not sent the operator token`
    return { call: null, reason: unproven }
  }
  return serverAt(answer.endpoint, token)
}

/** Returns the server at an address that has proved itself, whatever the name now leads to. */
export function serverAt(endpoint: Endpoint, token: string): RunningServer {
  const { address, port } = endpoint
  const url = `http://${address.includes(':') ? `[${address}]` : address}:${port}`
  const base = `${url}/admin/v1`
  const call: Call = async (method, path, body) => {
    const response = await request(base + path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        'user-agent': `parley-cli/${packageVersion()}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      body: body ? JSON.stringify(body) : null,
      // A move of the test clock is answered when everything that is due has been applied.
      headersTimeout: 0,
    }).catch((error: unknown) => {
      throw new ConfigError(`the server at ${base} did not respond (${codeOf(error) ?? 'no reason given'})`, { cause: error })
    })
    return parseResponse(response.statusCode, await response.body.text())
  }
  return { call, endpoint, url, token }
}

/** The server refuses a request; the message is the server's. */
export class RefusedError extends ConfigError {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Returns the body of a response; null for 204. Throws RefusedError. */
export function parseResponse<T>(status: number, body: string): T {
  const parsed = JSON.parse(status === 204 ? 'null' : body)
  if (status >= 400) throw new RefusedError(status, parsed.error ?? `the server responded with ${status}`)
  return parsed
}

interface Answer {
  readonly proof: string
  readonly endpoint: Endpoint
}

/** Returns what listens there says to the challenge, and where it was reached; null when nothing listens. */
function askForProof(host: string, port: number, nonce: string): Promise<Answer | null> {
  const path = `/admin/v1/identity?nonce=${nonce}`
  return new Promise((resolve) => {
    const asked = get({ host, port, path, agent: false, signal: AbortSignal.timeout(proofTimeoutMs) }, (response) => {
      const { remoteAddress: address = '', remotePort = 0 } = response.socket
      const endpoint = { address, port: remotePort }
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
        if (text.length > maxProofChars) response.destroy()
      })
      response.on('close', () => resolve({ proof: proofIn(text), endpoint }))
    })
    asked.on('error', () => {
      const { remoteAddress: address, remotePort = 0 } = asked.socket ?? {}
      resolve(address === undefined ? null : { proof: '', endpoint: { address, port: remotePort } })
    })
  })
}

const maxProofChars = 1000

function proofIn(text: string): string {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null && 'proof' in parsed && typeof parsed.proof === 'string'
      ? parsed.proof
      : ''
  } catch {
    return ''
  }
}
