import { X509Certificate } from 'node:crypto'
import forge from 'node-forge'

const { asn1 } = forge
const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class
const { SEQUENCE, SET, OCTETSTRING, OID, INTEGER, BMPSTRING } = asn1.Type

const oids = {
  data: '1.2.840.113549.1.7.1',
  certBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  /** Java takes a certificate without a key for an authority only if it has this attribute. */
  trustedKeyUsage: '2.16.840.1.113894.746875.1.1',
  anyExtendedKeyUsage: '2.5.29.37.0',
}

/**
 * Returns a Java key store, PKCS#12, of certificates that are trusted. It is neither encrypted nor has it a checksum: it holds nothing
 * secret, and Java opens it with any password.
 */
export function trustStore(certificates: readonly string[]): Buffer {
  const bags = certificates.map((pem, i) => bag(new X509Certificate(pem).raw, `parley-${i}`))
  const safe = sequence(...bags)
  const store = sequence(integer(3), contentInfo(sequence(contentInfo(safe))))
  return Buffer.from(asn1.toDer(store).getBytes(), 'latin1')
}

function bag(certificate: Buffer, alias: string): forge.asn1.Asn1 {
  return sequence(
    oid(oids.certBag),
    explicit(sequence(oid(oids.x509Certificate), explicit(octets(certificate.toString('latin1'))))),
    asn1.create(UNIVERSAL, SET, true, [
      attribute(oids.friendlyName, asn1.create(UNIVERSAL, BMPSTRING, false, alias)),
      attribute(oids.trustedKeyUsage, oid(oids.anyExtendedKeyUsage)),
    ]),
  )
}

function contentInfo(content: forge.asn1.Asn1): forge.asn1.Asn1 {
  return sequence(oid(oids.data), explicit(octets(asn1.toDer(content).getBytes())))
}

function attribute(name: string, value: forge.asn1.Asn1): forge.asn1.Asn1 {
  return sequence(oid(name), asn1.create(UNIVERSAL, SET, true, [value]))
}

function sequence(...values: forge.asn1.Asn1[]): forge.asn1.Asn1 {
  return asn1.create(UNIVERSAL, SEQUENCE, true, values)
}

function explicit(value: forge.asn1.Asn1): forge.asn1.Asn1 {
  return asn1.create(CONTEXT_SPECIFIC, 0, true, [value])
}

function octets(bytes: string): forge.asn1.Asn1 {
  return asn1.create(UNIVERSAL, OCTETSTRING, false, bytes)
}

function oid(text: string): forge.asn1.Asn1 {
  return asn1.create(UNIVERSAL, OID, false, asn1.oidToDer(text).getBytes())
}

function integer(value: number): forge.asn1.Asn1 {
  return asn1.create(UNIVERSAL, INTEGER, false, asn1.integerToDer(value).getBytes())
}
