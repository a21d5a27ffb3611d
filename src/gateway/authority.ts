import { createPrivateKey, generateKeyPair, randomBytes, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext, type SecureContext } from 'node:tls'
import { promisify } from 'node:util'
import { LRUCache } from 'lru-cache'
import forge from 'node-forge'
import { SystemClock } from '../clock.ts'
import { ConfigError } from '../config-error.ts'
import { codeOf } from '../errors.ts'
import { createOnce } from '../installation/secrets.ts'

const dayMs = 86_400_000
const authorityDays = 3650
/** Below what the strictest clients accept of a server's certificate. */
const leafDays = 397
/** A leaf is made anew long before it ends. */
const leafReuseMs = 30 * dayMs

interface KeyPair {
  readonly publicKey: string
  readonly privateKey: string
}

/**
 * A certificate authority of this installation alone. It can vouch for names below `twilio.com` and for nothing else (name
 * constraints), so that a leaked key is of no use against any other site.
 */
export class Authority {
  /** The certificate of the authority, PEM. */
  readonly certificate: string
  readonly #issuer: forge.pki.Certificate
  readonly #issuerKey: forge.pki.rsa.PrivateKey
  readonly #leafKey: KeyPair
  readonly #contexts = new LRUCache<string, SecureContext>({ max: 100, ttl: leafReuseMs })

  private constructor(issuer: IssuerFiles, leafKey: KeyPair) {
    this.certificate = issuer.certificate
    this.#issuer = forge.pki.certificateFromPem(issuer.certificate)
    this.#issuerKey = forge.pki.privateKeyFromPem(issuer.privateKey)
    this.#leafKey = leafKey
  }

  /**
   * Opens the authority whose key is kept in `folder`, or makes it at first use. Null: one that is not kept.
   * Throws ConfigError when the file is not accessible or damaged, or the certificate is about to end.
   */
  static async open(folder: string | null): Promise<Authority> {
    const file = folder && join(folder, 'authority.pem')
    const [issuer, leafKey] = await Promise.all([loadOrCreateIssuer(file), newKeyPair()])
    return new Authority(issuer, leafKey)
  }

  /** Returns what a TLS connection for `name` needs: a certificate for this name, made at its first connection. */
  contextFor(name: string): SecureContext {
    const known = this.#contexts.get(name)
    if (known) return known
    const context = createSecureContext(this.credentialsFor(name))
    this.#contexts.set(name, context)
    return context
  }

  /** Returns a new certificate for a host name with its chain, and its key; PEM. */
  credentialsFor(name: string): { readonly cert: string; readonly key: string } {
    return { cert: `${this.#issue(name)}${this.certificate}`, key: this.#leafKey.privateKey }
  }

  #issue(name: string): string {
    const leaf = newCertificate(forge.pki.publicKeyFromPem(this.#leafKey.publicKey), leafDays)
    leaf.setSubject([{ name: 'commonName', value: 'Parley' }])
    leaf.setIssuer(this.#issuer.subject.attributes)
    leaf.setExtensions([
      { name: 'basicConstraints', critical: true, cA: false },
      { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: name }] },
      { name: 'subjectKeyIdentifier' },
      { name: 'authorityKeyIdentifier', keyIdentifier: this.#issuer.generateSubjectKeyIdentifier().getBytes() },
    ])
    leaf.sign(this.#issuerKey, forge.md.sha256.create())
    return toPem(leaf)
  }
}

interface IssuerFiles {
  readonly certificate: string
  readonly privateKey: string
}

async function loadOrCreateIssuer(file: string | null): Promise<IssuerFiles> {
  if (file === null) return newIssuer()
  if (!existsSync(file)) {
    const { certificate, privateKey } = await newIssuer()
    try {
      createOnce(file, `${privateKey}${certificate}`)
    } catch (error) {
      throw new ConfigError(`${file} cannot be written (${codeOf(error)}): correct its folder, or set PARLEY_DATA_DIR`)
    }
  }
  return readIssuer(file)
}

function readIssuer(file: string): IssuerFiles {
  const text = readable(file)
  const privateKey = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\s*/.exec(text)?.[0] ?? ''
  const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*/.exec(text)?.[0] ?? ''
  const remedy = 'delete it, and the next start makes a new one'
  try {
    const parsed = new X509Certificate(certificate)
    if (!parsed.checkPrivateKey(createPrivateKey(privateKey))) throw new Error('the key is another one')
    if (parsed.validToDate.getTime() - new SystemClock().now() < leafReuseMs) throw new Error('it is about to end')
  } catch {
    throw new ConfigError(`${file} is not a certificate authority that is valid for another 30 days: ${remedy}`)
  }
  return { certificate, privateKey }
}

function readable(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`${file} cannot be read (${codeOf(error)})`)
  }
}

async function newIssuer(): Promise<IssuerFiles> {
  const { publicKey, privateKey } = await newKeyPair()
  const certificate = newCertificate(forge.pki.publicKeyFromPem(publicKey), authorityDays)
  const name = [{ name: 'commonName', value: `Parley ${randomBytes(4).toString('hex')}` }]
  certificate.setSubject(name)
  certificate.setIssuer(name)
  certificate.setExtensions([
    { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
    { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    { id: '2.5.29.30', critical: true, value: nameConstraints() },
    { name: 'subjectKeyIdentifier' },
  ])
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create())
  return { certificate: toPem(certificate), privateKey }
}

/** Permits DNS names of `twilio.com`; excludes every address. RFC 5280, 4.2.1.10. */
function nameConstraints(): forge.asn1.Asn1 {
  const { asn1 } = forge
  const context = (tag: number, constructed: boolean, value: string | forge.asn1.Asn1[]) =>
    asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag, constructed, value)
  const subtree = (tag: number, value: string) =>
    asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, [context(tag, false, value)])
  const anyAddress = (bytes: number) => '\0'.repeat(2 * bytes)
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, [
    context(0, true, [subtree(2, 'twilio.com')]),
    context(1, true, [subtree(7, anyAddress(4)), subtree(7, anyAddress(16))]),
  ])
}

/** Clocks of other machines may be behind: it is valid from a day ago. */
function newCertificate(publicKey: forge.pki.PublicKey, days: number): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate()
  const now = new SystemClock().now()
  certificate.publicKey = publicKey
  // The first bit is 0: serial numbers are positive.
  certificate.serialNumber = `4${randomBytes(16).toString('hex').slice(1)}`
  certificate.validity.notBefore = new Date(now - dayMs)
  certificate.validity.notAfter = new Date(now + days * dayMs)
  return certificate
}

/** With the line ends that everything else here has. */
function toPem(certificate: forge.pki.Certificate): string {
  return forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n')
}

/** In a thread of the pool: it takes a tenth of a second. RSA, because that is what every client knows. */
function newKeyPair(): Promise<KeyPair> {
  return promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
}
