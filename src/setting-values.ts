import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { type BucketLocation, parseBucketUrl } from './bucket-url.ts'
import { ConfigError } from './config-error.ts'
import { type GroupRole, groupRolesOf } from './operator-roles.ts'
import { isVendorHost } from './urls.ts'

/** Throws ConfigError when `text` is not a value of the setting `env`. */
export type Parse<T> = (text: string, env: string) => T

/** `file`: a path, or `:memory:`. */
export type DatabaseLocation =
  | { readonly engine: 'sqlite'; readonly file: string }
  | { readonly engine: 'postgres'; readonly url: string }

/** Whether only programs on this machine reach what listens there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}

/** Parses a database URL. `name`: the setting or argument that holds it. Throws ConfigError. */
export function parseDatabaseUrl(url: string, name: string): DatabaseLocation {
  const file = /^sqlite:(.+)$/.exec(url)?.[1]
  if (file && !file.startsWith('//')) return { engine: 'sqlite', file }
  if (/^postgres(ql)?:\/\//i.test(url) && URL.canParse(url)) return { engine: 'postgres', url }
  // The value may contain a password, anywhere.
  const scheme = /^[a-z][a-z0-9+.-]{0,15}:\/\//i.exec(url)?.[0]
  throw new ConfigError(`${name} must be sqlite:<file>, sqlite::memory: or postgres://…${scheme ? `, not ${scheme}…` : ''}`)
}

/** Returns a database URL for messages: without password, and without parameters, which may contain one. */
export function databaseLabel(location: DatabaseLocation): string {
  if (location.engine === 'sqlite') return `sqlite:${location.file}`
  if (!URL.canParse(location.url)) return 'the database'
  const { protocol, username, host, pathname } = new URL(location.url)
  return `${protocol}//${username && `${username}@`}${host}${pathname}`
}

export function none(): null {
  return null
}

export function anyText(text: string): string {
  return text
}

export function publicUrl(text: string, env: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash) {
    throw new ConfigError(`${env} must be an http(s) URL without query, not ${text}`)
  }
  return text.replace(/\/+$/, '').replace(/\/v1$/, '')
}

export function issuer(text: string, env: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
  if (url && isSafe && !url.search && !url.hash && !url.username && !url.password) return text
  throw new ConfigError(`${env} must be an https URL without query, or one of http on this machine`)
}

export function groupRoles(text: string, env: string): readonly GroupRole[] {
  const roles = groupRolesOf(text)
  if (typeof roles === 'string') throw new ConfigError(`${env} ${roles}`)
  return roles
}

export function hostNames(text: string, env: string): string[] {
  const names = text.split(',').map((name) => name.trim().toLowerCase())
  if (names.every((name) => /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name))) return names
  throw new ConfigError(`${env} must be host names without ports, separated by commas, not ${text}`)
}

/** Any other host is none that the proxy would refuse. */
export function vendorHosts(text: string, env: string): string[] {
  const names = hostNames(text, env)
  const other = names.find((name) => !isVendorHost(name))
  if (other === undefined) return names
  throw new ConfigError(`${env} must be hosts of twilio.com, not ${other}: the proxy refuses no others`)
}

export function networks(text: string, env: string): string[] {
  const entries = text.split(',').map((entry) => entry.trim())
  const isNetwork = (entry: string) => isIP(entry) !== 0 || (isIP(entry.replace(/\/.*/, '')) !== 0 && ipaddr.isValidCIDR(entry))
  if (entries.every(isNetwork)) return entries
  throw new ConfigError(`${env} must be addresses or networks such as 10.0.0.0/8, separated by commas, not ${text}`)
}

/** The error does not show the value, which has a password. */
export function mailUrl(protocols: RegExp, words: string): Parse<string> {
  return (text, env) => {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (url && protocols.test(url.protocol) && url.hostname !== '') return text
    throw new ConfigError(`${env} must be a URL with ${words} and a host`)
  }
}

export function bucketUrl(text: string, env: string): BucketLocation {
  try {
    return parseBucketUrl(text)
  } catch (error) {
    throw new ConfigError(`${env} ${error instanceof Error ? error.message : 'is not a bucket'}`)
  }
}

/** Where something listens; `off`: nowhere. */
type ListenAddress = { readonly host: string; readonly port: number } | 'off'

export function listenAddress(text: string, env: string): ListenAddress {
  if (text === 'off') return 'off'
  const [, v6, host, port] = /^(?:\[([0-9a-f:.]+)\]|([^:\s]+)):(\d{1,5})$/i.exec(text) ?? []
  const name = v6 ?? host
  if (name !== undefined && Number(port) <= 65_535) return { host: name, port: Number(port) }
  throw new ConfigError(`${env} must be host:port or off, not ${text}`)
}

export function integer(min: number, max: number): Parse<number> {
  return (text, env) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new ConfigError(`${env} must be a whole number from ${min} to ${max}, not ${text}`)
  }
}

export function trueOrFalse(text: string, env: string): boolean {
  if (/^(1|true|yes|on)$/i.test(text)) return true
  if (/^(0|false|no|off)$/i.test(text)) return false
  throw new ConfigError(`${env} must be true or false, not ${text}`)
}

export function wordOf<const W extends string>(...words: readonly W[]): Parse<W> {
  return (text, env) => {
    const found = words.find((word) => word === text)
    if (found !== undefined) return found
    throw new ConfigError(`${env} must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}, not ${text}`)
  }
}

/** The error does not show the value, which may be a secret. */
export function matching(pattern: RegExp, form: string): Parse<string> {
  return (text, env) => {
    if (pattern.test(text)) return text
    throw new ConfigError(`${env} must be ${form}`)
  }
}
