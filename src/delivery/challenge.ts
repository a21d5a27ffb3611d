import { createHash, randomBytes } from 'node:crypto'

/** One way to authenticate that a 401 answer offers. */
interface Challenge {
  /** Lower case. */
  readonly scheme: string
  /** Names in lower case; values without their quotes, escapes untouched: the digest is taken over that text. */
  readonly params: ReadonlyMap<string, string>
}

const name = /[\w!#$%&'*+.^`|~-]+/y
const value = /\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+))/y

/** Reads the `WWW-Authenticate` fields of an answer: several challenges may share a field, parted by commas like parameters. */
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

/** The hash a digest challenge asks for (MD5 when it names none), or null if it asks for something not spoken here. */
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

/** What the request and its sender bring to an authorization. */
interface Credentials {
  readonly username: string
  readonly password: string
  readonly method: string
  /** Path and query, as in the request line. */
  readonly uri: string
  /** Fixed in tests only. */
  readonly cnonce?: string
}

/** `username="..."`, or the extended notation of RFC 7616 §3.4 for a name that a quoted string cannot carry. */
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
  const asked = params.get('algorithm')
  if (asked !== undefined) fields.push(`algorithm=${asked}`)
  const opaque = params.get('opaque')
  if (opaque !== undefined) fields.push(`opaque="${opaque}"`)
  return `Digest ${fields.join(', ')}`
}

/** The `Authorization` value that answers the strongest of the offered challenges, or null when none can be answered. */
export function authorize(challenges: readonly Challenge[], credentials: Credentials): string | null {
  for (const wanted of ['sha256', 'md5']) {
    const found = challenges.find((challenge) => digestHash(challenge) === wanted)
    if (found) return digestAuthorization(found.params, wanted, credentials)
  }
  if (!challenges.some(({ scheme }) => scheme === 'basic')) return null
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`, 'utf8').toString('base64')}`
}
