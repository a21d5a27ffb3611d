/** Where media are kept outside of the data folder: a bucket that speaks the API of S3. */
export interface BucketLocation {
  readonly bucket: string
  /** Before the names of all objects: empty, or with a slash at its end. */
  readonly prefix: string
  readonly region: string
  /** Null: the one of AWS for the region. */
  readonly endpoint: string | null
  /** Whether the bucket stands in the path of a URL rather than in its host name. */
  readonly pathStyle: boolean
}

const parameters = ['endpoint', 'region', 'style']

/**
 * Parses `s3://bucket/prefix?endpoint=…&region=…&style=path`. Throws an Error with a clause that says what the text must be; it
 * shows nothing of the text, which may have a secret in it.
 */
export function parseBucketUrl(text: string): BucketLocation {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 's3:' || url.hash !== '' || url.port !== '')
    throw new Error('must be s3://bucket/prefix?endpoint=…&region=…')
  if (url.username !== '' || url.password !== '')
    throw new Error('must not have credentials in it: they are settings of their own')
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/.test(url.hostname))
    throw new Error('must have the name of a bucket after s3://')
  const prefix = url.pathname.replace(/^\/+|\/+$/g, '')
  if (!/^(?:[A-Za-z0-9!_.*'()-]+(?:\/[A-Za-z0-9!_.*'()-]+)*)?$/.test(prefix) || prefix.length > 512) {
    throw new Error("must have a prefix of letters, digits, / and !_.*'()- after the bucket, or none")
  }
  const unknown = [...url.searchParams.keys()].some(
    (name) => !parameters.includes(name) || url.searchParams.getAll(name).length > 1,
  )
  if (unknown) throw new Error('has a parameter that is none of endpoint, region and style, or has one twice')
  const endpoint = endpointOf(url.searchParams.get('endpoint'))
  const region = url.searchParams.get('region') ?? 'us-east-1'
  if (!/^[A-Za-z0-9-]{1,64}$/.test(region)) throw new Error('has a region that is not one, such as eu-central-1')
  const style = url.searchParams.get('style') ?? (endpoint === null ? 'host' : 'path')
  if (style !== 'path' && style !== 'host') throw new Error('has a style that is neither path nor host')
  return { bucket: url.hostname, prefix: prefix === '' ? '' : `${prefix}/`, region, endpoint, pathStyle: style === 'path' }
}

function endpointOf(text: string | null): string | null {
  if (text === null) return null
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^https?:$/.test(url.protocol) && !url.search && !url.hash && !url.username && !url.password) return text
  throw new Error('has an endpoint that is not an http(s) URL without query and credentials')
}

/** Returns where a bucket is, for messages. */
export function bucketLabel({ bucket, prefix, endpoint }: BucketLocation): string {
  return `s3://${bucket}/${prefix}${endpoint === null ? '' : ` at ${endpoint}`}`
}
