import { hash, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { getCACertificates } from 'node:tls'
import { ConfigError } from '../config-error.ts'
import { codeOf } from '../errors.ts'
import { randomToken } from '../sids.ts'
import { trustStore } from './trust-store.ts'

/** Files that make a program trust Parley, each with the certificates that it would trust without them. Absolute paths. */
export interface TrustFiles {
  /** Everything, PEM. */
  readonly bundle: string
  /** For Node, which adds it to what it trusts: Parley's, and those of NODE_EXTRA_CA_CERTS. */
  readonly node: string
  /** A folder with settings for PHP. */
  readonly php: string
  /** Everything as a Java key store, PKCS#12. */
  readonly java: string
}

type Environment = Readonly<Record<string, string | undefined>>

/** Where systems keep the authorities that they trust: Debian, Red Hat, SUSE, Alpine and macOS. */
const systemBundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/**
 * Makes the files in `folder`, unless they are there: they are made once for each set of certificates. `authority`: Parley's own,
 * PEM. What variables of `env` have made the program trust, it goes on to trust. Throws ConfigError when the folder is not writable.
 */
export function trustFiles(folder: string, authority: string, env: Environment): TrustFiles {
  const extra = certificatesIn(env.NODE_EXTRA_CA_CERTS)
  const others = [
    ...['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'].flatMap((name) => certificatesIn(env[name])),
    ...(env.SSL_CERT_DIR ?? '').split(':').flatMap(certificatesInFolder),
  ]
  const own = certificatesOf(authority)
  const all = unique([...own, ...extra, ...others, ...systemCertificates()])
  const place = join(resolve(folder), `trust-${hash('sha256', [...extra, '', ...all].join('\n')).slice(0, 16)}`)
  const files = {
    bundle: join(place, 'bundle.pem'),
    node: join(place, 'node.pem'),
    php: join(place, 'php'),
    java: join(place, 'java.p12'),
  }
  if (existsSync(place)) return files
  try {
    createFolder(place, (draft) => {
      writeFileSync(join(draft, 'bundle.pem'), all.join(''))
      writeFileSync(join(draft, 'node.pem'), unique([...own, ...extra]).join(''))
      writeFileSync(join(draft, 'java.p12'), trustStore(all))
      mkdirSync(join(draft, 'php'))
      writeFileSync(join(draft, 'php', 'parley.ini'), `curl.cainfo="${files.bundle}"\nopenssl.cafile="${files.bundle}"\n`)
    })
  } catch (error) {
    throw new ConfigError(`${place} cannot be written (${codeOf(error)}): correct its folder, or set PARLEY_DATA_DIR`)
  }
  return files
}

/** Creates a folder with all its content at once: several programs may start together. */
function createFolder(folder: string, fill: (draft: string) => void): void {
  const draft = `${folder}.${randomToken()}`
  mkdirSync(draft, { recursive: true, mode: 0o700 })
  try {
    fill(draft)
    renameSync(draft, folder)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error
  }
}

/** Those of the system, or else those that Node comes with. */
function systemCertificates(): string[] {
  for (const file of systemBundles) {
    const found = certificatesIn(file)
    if (found.length > 0) return found
  }
  return getCACertificates('bundled').flatMap(certificatesOf)
}

function certificatesIn(file: string | undefined): string[] {
  // A variable may name a file that is not there; programs differ in what they make of it.
  if (!file || !existsSync(file) || !statSync(file).isFile()) return []
  return certificatesOf(readFileSync(file, 'utf8'))
}

function certificatesInFolder(folder: string): string[] {
  if (folder === '' || !existsSync(folder) || !statSync(folder).isDirectory()) return []
  return readdirSync(folder).flatMap((name) => certificatesIn(join(folder, name)))
}

/** Returns the certificates in a text, without those that are damaged: one of them would spoil a whole key store. */
function certificatesOf(text: string): string[] {
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return found.flatMap((pem) => {
    try {
      return [new X509Certificate(pem).toString()]
    } catch {
      return []
    }
  })
}

function unique(certificates: readonly string[]): string[] {
  return [...new Set(certificates)]
}
