/** Removes the user name and password from a URL. */
export function withoutCredentials(url: string): string {
  const parsed = new URL(url)
  parsed.username = ''
  parsed.password = ''
  return parsed.href
}

/** What stands in place of user name and password: this prefix and their ciphertext (base64url, at least nonce and tag). */
const prefix = 'sealed~'
const ciphertext = /^sealed~([\w-]{38,})$/

/** Where the URL standard finds user name and password in the text of an http(s) URL: up to the last `@` of its authority. */
const authority = /^([\0-\x20]*https?:[/\\]*)([^/\\?#]*)@/i

/**
 * Returns an http(s) URL whose user name and password are encrypted by `seal` (which returns base64). The rest of the text stays
 * as it is, so that the host can be read. A URL without credentials is returned as it is.
 */
export function sealCredentials(url: string, seal: (secret: string) => string): string {
  if (!hasCredentials(url)) return url
  const sealed = replaceCredentials(url, (secret) => prefix + Buffer.from(seal(secret), 'base64').toString('base64url'))
  // Tabs and line breaks mean nothing in a URL, but the pattern does not expect them: they are gone in its serialised form.
  return hasSealedCredentials(sealed) ? sealed : sealCredentials(new URL(url).href, seal)
}

/** Returns the URL that `sealCredentials` was given; one that is not sealed as it is. Throws as `open` does. */
export function openCredentials(url: string, open: (sealed: string) => string): string {
  return replaceCredentials(url, (credentials) => {
    const sealed = ciphertext.exec(credentials)?.[1]
    return sealed === undefined ? credentials : open(sealed)
  })
}

/** Whether user name and password of a URL are sealed. */
export function hasSealedCredentials(url: string): boolean {
  const { username, password } = new URL(url)
  return password === '' && ciphertext.test(username)
}

/** Whether an http(s) URL has a user name or a password. */
export function hasCredentials(url: string): boolean {
  const { username, password } = new URL(url)
  return username !== '' || password !== ''
}

function replaceCredentials(url: string, replace: (credentials: string) => string): string {
  return url.replace(authority, (_, start: string, credentials: string) => `${start}${replace(credentials)}@`)
}

/** `tsock…`: where client SDKs connect to, in their region. */
const conversationsHost = /^(?:conversations(?:\.[\w-]+){0,2}|tsock\.[\w-]+)\.twilio\.com$/i

/** Whether a host name is one of Twilio Conversations, alone or with an edge and a region: those that Parley stands in for. */
export function isConversationsHost(name: string): boolean {
  return conversationsHost.test(name)
}

/** Whether a host name in lower case is Twilio's: what is sent there reaches the real service, unless Parley stands in for it. */
export function isVendorHost(name: string): boolean {
  return name === 'twilio.com' || name.endsWith('.twilio.com')
}

/** Returns the host name of `name:port`, `[address]:port` or either alone: in lower case, without the dot that DNS allows at its end. */
export function hostNameOf(host: string): string {
  const name = /^\[(.*)\](?::\d+)?$/.exec(host)?.[1] ?? host.replace(/:\d*$/, '')
  return name.toLowerCase().replace(/\.$/, '')
}

/** Returns where this machine reaches a server that listens at `url`; null when the url is none with a port. */
export function endpointOf(url: string): { readonly address: string; readonly port: number } | null {
  if (!URL.canParse(url) || new URL(url).port === '') return null
  const { hostname, port } = new URL(url)
  const address = hostname.replace(/^\[(.*)\]$/, '$1')
  // Addresses that stand for all of a machine's.
  return { address: address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address, port: Number(port) }
}

/** Whether what is sent to an http(s) URL is read by nobody on the way: it is encrypted, or does not leave this machine. */
export function isConfidential({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname))
}
