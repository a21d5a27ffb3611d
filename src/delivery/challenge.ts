import { createHash, randomBytes } from 'node:crypto'

/** One challenge of a 401 response. */
interface Challenge {
  /** Lower case. */
  readonly scheme: string
  /** Names in lower case; values without quotes but with their escapes, since the digest is computed over that text. */
  readonly params: ReadonlyMap<string, string>
}

const name = /[\w!#$%&'*+.^`|~-]+/y
const value = /\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+))/y

/** Parses `WWW-Authenticate` fields. Several challenges may share a field, separated by commas as their parameters are. */
export function parseChallenges(fields: string | readonly string[] | undefined): Challenge[] {
  const text = (typeof fields === 'string' ? [fields] : (fields ?? [])).join(', ')
  const challenges: Challenge[] = []
  let params = new Map<string, string>()
  for (let at = 0; at < text.length; ) {
    name.lastIndex = at
    const word = name.exec(text)?.[0]
    if (word === undefined) {
      at++
      continue
    }
    at = name.lastIndex
    value.lastIndex = at
    const found = value.exec(text)
    if (found) {
      at = value.lastIndex
      params.set(word.toLowerCase(), found[1] ?? found[2] ?? '')
    } else {
      params = new Map()
      challenges.push({ scheme: word.toLowerCase(), params })
    }
  }
  return challenges
}

const hashes = new Map([
  ['md5', 'md5'],
  ['sha-256', 'sha256'],
])

/** Returns the hash of a digest challenge (MD5 by default), or null if the challenge is not supported. */
function digestHash({ scheme, params }: Challenge): string | null {
  if (scheme !== 'digest' || !params.has('nonce')) return null
  const qop = params.get('qop')
  if (
    qop !== undefined &&
    !qop
      .toLowerCase()
      .split(/[\s,]+/)
      .includes('auth')
  )
    return null
  return hashes.get(params.get('algorithm')?.toLowerCase() ?? 'md5') ?? null
}

/** The input of an authorization besides the challenge. */
interface Credentials {
  readonly username: string
  readonly password: string
  readonly method: string
  /** Path and query, as in the request line. */
  readonly uri: string
  /** Set only by tests; else random. */
  readonly cnonce?: string
}

/** Returns `username="..."`, or the extended notation of RFC 7616 §3.4 for a name that a quoted string cannot contain. */
function usernameField(username: string): string {
  if (/^[\x20-\x7e]*$/.test(username)) return `username="${username.replace(/["\\]/g, '\\$&')}"`
  const escaped = encodeURIComponent(username).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  return `username*=UTF-8''${escaped}`
}

function digestAuthorization(params: Challenge['params'], algorithm: string, credentials: Credentials): string {
  const { username, password, method, uri } = credentials
  const hash = (text: string) => createHash(algorithm).update(text, 'utf8').digest('hex')
  const realm = params.get('realm') ?? ''
  const nonce = params.get('nonce') ?? ''
  const secret = hash(`${username}:${realm}:${password}`)
  const target = hash(`${method}:${uri}`)
  const fields = [usernameField(username), `realm="${realm}"`, `nonce="${nonce}"`, `uri="${uri}"`]
  if (params.has('qop')) {
    const cnonce = credentials.cnonce ?? randomBytes(24).toString('base64')
    fields.push(`response="${hash(`${secret}:${nonce}:00000001:${cnonce}:auth:${target}`)}"`)
    fields.push('qop=auth', 'nc=00000001', `cnonce="${cnonce}"`)
  } else {
    fields.push(`response="${hash(`${secret}:${nonce}:${target}`)}"`)
  }
  const named = params.get('algorithm')
  if (named !== undefined) fields.push(`algorithm=${named}`)
  const opaque = params.get('opaque')
  if (opaque !== undefined) fields.push(`opaque="${opaque}"`)
  return `Digest ${fields.join(', ')}`
}

/** Returns the `Authorization` value for the strongest supported challenge, or null if none is supported. */
export function authorize(challenges: readonly Challenge[], credentials: Credentials): string | null {
  for (const algorithm of ['sha256', 'md5']) {
    const found = challenges.find((challenge) => digestHash(challenge) === algorithm)
    if (found) return digestAuthorization(found.params, algorithm, credentials)
  }
  if (!challenges.some(({ scheme }) => scheme === 'basic')) return null
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`, 'utf8').toString('base64')}`
}
