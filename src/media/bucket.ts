import { createReadStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { Readable } from 'node:stream'
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { type BucketLocation, bucketLabel } from '../bucket-url.ts'
import { explained, isLasting, isMissing, isNamed } from './bucket-errors.ts'
import { verifiedBytes } from './bucket-read.ts'
import {
  type ByteRange,
  type Content,
  type Contents,
  type Kept,
  type Link,
  MediaDamagedError,
  MediaStoreError,
} from './contents.ts'
import { removeOld } from './folder.ts'
import { attempt } from './retries.ts'

/** In ms. */
export interface BucketTimeouts {
  readonly connect: number
  /** Without a byte in either direction. */
  readonly idle: number
  /** Until a response begins, except that of a put, which begins after the upload. */
  readonly response: number
}

export const defaultTimeouts: BucketTimeouts = { connect: 5000, idle: 10_000, response: 15_000 }

export interface BucketOptions {
  readonly location: BucketLocation
  /** Null: as the AWS SDKs find them. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null
  /** The local folder into which uploads are received. Created if it does not exist. */
  readonly incoming: string
  /** Names the installation: what the cleanup of another one finds it would delete. */
  readonly marker: string
  readonly timeouts?: Partial<BucketTimeouts> | undefined
  readonly observe?: ObserveBucket | undefined
}

/** Called after each operation, with its time in seconds. */
export type ObserveBucket = (operation: string, outcome: 'ok' | 'failed', seconds: number) => void

/** A slow reader keeps the connection of its download: far more than the SDK's 50. */
const maxSockets = 512

/** What is asked for again in vain is given up. */
const attempts = 3

/** How long it is taken to be known whether a bucket keeps versions. */
const versioningMs = 300_000

const contentKey = /^[0-9a-f]{2}\/[0-9a-f]{2}\/([0-9a-f]{64})$/

/**
 * Contents as objects of a bucket, laid out as in a folder: `<prefix>ab/cd/abcd…`. A put names the SHA-256 of its body, signed, so
 * that the store refuses what has changed on its way; what is read is compared with its name.
 */
export class BucketContents implements Contents {
  readonly incoming: string
  readonly label: string
  readonly #options: BucketOptions
  readonly #client: S3Client
  readonly #timeouts: BucketTimeouts
  #claimed: Promise<void> | undefined
  #versioning: { readonly at: number; readonly kept: Promise<boolean | null> } | undefined

  private constructor(options: BucketOptions) {
    const { location, credentials, incoming, timeouts } = options
    this.#options = options
    this.incoming = incoming
    this.label = bucketLabel(location)
    this.#timeouts = { ...defaultTimeouts, ...timeouts }
    const agents = { keepAlive: true, maxSockets }
    this.#client = new S3Client({
      region: location.region,
      forcePathStyle: location.pathStyle,
      ...(location.endpoint !== null && { endpoint: location.endpoint }),
      ...(credentials && { credentials }),
      maxAttempts: attempts,
      // It would write to the console that it does not retry what is retried here.
      logger: { debug: silent, info: silent, warn: silent, error: silent },
      // Not every store knows the newer checksums, of which one would be stored as a part of the content. Ours are the names.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: this.#timeouts.connect,
        socketTimeout: this.#timeouts.idle,
        throwOnRequestTimeout: true,
        httpAgent: new HttpAgent(agents),
        httpsAgent: new HttpsAgent(agents),
      },
    })
  }

  /** Does not ask the store for anything yet. */
  static async open(options: BucketOptions): Promise<BucketContents> {
    await mkdir(options.incoming, { recursive: true, mode: 0o700 })
    return new BucketContents(options)
  }

  async close(): Promise<void> {
    this.#client.destroy()
  }

  /**
   * Finds out whether the bucket can be written and is this installation's, once; it is marked if it is nobody's. Throws
   * MediaStoreError.
   */
  claim(): Promise<void> {
    this.#claimed ??= this.#claim().catch((error: unknown) => {
      this.#claimed = undefined
      throw error
    })
    return this.#claimed
  }

  async put(file: string, { sha256, size }: Content): Promise<void> {
    await this.claim()
    await this.#call('put', () =>
      attempt(attempts, isLasting, async () => {
        const body = createReadStream(file)
        try {
          await this.#putObject(this.#key(sha256), body, size, sha256)
        } finally {
          body.destroy()
        }
      }),
    )
  }

  has(sha256: string): Promise<boolean> {
    return this.#exists(this.#key(sha256))
  }

  async isLeft(sha256: string): Promise<boolean> {
    const kept = await this.keepsVersions({ now: true })
    for (const key of [this.#key(sha256), this.#aside(sha256)]) {
      if (kept === false) {
        if (await this.#exists(key)) return true
      } else for await (const _ of this.#versions(key)) return true
    }
    return false
  }

  /** What breaks off is gone on with where it broke off. All of a content is verified before its last bytes are given. */
  async open({ sha256, size }: Content, range?: ByteRange): Promise<Readable | null> {
    const whole = { start: 0, end: size - 1 }
    const wanted = range ?? whole
    const isWhole = wanted.start === 0 && wanted.end === whole.end
    const part = (from: ByteRange) => this.#get(sha256, from, from.start === 0 && from.end === whole.end)
    const first = await part(wanted)
    if (!first) return null
    return verifiedBytes({ first, range: wanted, again: part, sha256: isWhole ? sha256 : null, attempts })
  }

  async remove(sha256: string, isUsed: () => Promise<boolean>): Promise<void> {
    await this.claim()
    const [key, aside] = [this.#key(sha256), this.#aside(sha256)]
    if (!(await this.#copy(key, aside))) {
      if ((await this.keepsVersions()) !== false) await this.#delete(key)
      return
    }
    await this.#delete(key)
    if (await isUsed()) await this.#copy(aside, key)
    await this.#delete(aside)
  }

  async *list(): AsyncIterable<Kept> {
    await this.claim()
    for await (const { name, size, put_at } of this.#objects('')) {
      const [, sha256] = contentKey.exec(name) ?? []
      if (sha256 !== undefined) yield { sha256, size, put_at }
    }
  }

  /** Does not ask the store. It expires by the clock of this machine. */
  link(sha256: string, { lifetime_s: expiresIn, content_type, content_disposition }: Link): Promise<string> {
    const command = new GetObjectCommand({
      Bucket: this.#options.location.bucket,
      Key: this.#key(sha256),
      ResponseContentType: content_type,
      ResponseContentDisposition: content_disposition,
    })
    return getSignedUrl(this.#client, command, { expiresIn }).catch((error: unknown) => {
      throw this.#explained('link', error)
    })
  }

  async removeIncomplete(before: number, isUsed: (sha256: string) => Promise<boolean>): Promise<void> {
    await removeOld(this.incoming, before)
    await this.claim()
    for await (const { name, put_at } of this.#objects('aside/')) {
      if (put_at >= before) continue
      const sha256 = name.slice('aside/'.length)
      if ((await isUsed(sha256)) && !(await this.has(sha256))) await this.#copy(this.#aside(sha256), this.#key(sha256))
      await this.#delete(this.#aside(sha256))
    }
  }

  /** Whether the bucket keeps what is deleted or replaced, or has once; null: it does not say. `now`: asks the store. */
  async keepsVersions({ now = false } = {}): Promise<boolean | null> {
    const at = performance.now()
    if (now || !this.#versioning || at - this.#versioning.at > versioningMs) {
      this.#versioning = { at, kept: this.#askForVersioning() }
      this.#versioning.kept.catch(() => {
        this.#versioning = undefined
      })
    }
    return this.#versioning.kept
  }

  async #askForVersioning(): Promise<boolean | null> {
    try {
      const { Status } = await this.#client.send(
        new GetBucketVersioningCommand({ Bucket: this.#options.location.bucket }),
        this.#quick,
      )
      return Status !== undefined
    } catch (error) {
      // A store without versions may not know the question.
      if (isNamed(error, 'NotImplemented', 'MethodNotAllowed')) return false
      if (isNamed(error, 'AccessDenied', 'Forbidden')) return null
      throw this.#explained('versioning', error)
    }
  }

  get #quick() {
    return { requestTimeout: this.#timeouts.response }
  }

  #key(sha256: string): string {
    return `${this.#options.location.prefix}${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256}`
  }

  #aside(sha256: string): string {
    return `${this.#options.location.prefix}aside/${sha256}`
  }

  async #claim(): Promise<void> {
    const { location, marker } = this.#options
    const key = `${location.prefix}installation`
    const found = (await this.#marker(key)) ?? (await this.#mark(key, marker))
    if (found === marker) return
    throw new MediaStoreError(
      `${this.label} contains the media of another installation: set another bucket or prefix in PARLEY_MEDIA_STORE`,
      { lasting: true },
    )
  }

  async #marker(key: string): Promise<string | null> {
    const found = await this.#unlessMissing('get', async () => {
      const { Body } = await this.#client.send(
        new GetObjectCommand({ Bucket: this.#options.location.bucket, Key: key, Range: 'bytes=0-255' }),
        this.#quick,
      )
      return (await Body?.transformToString()) ?? ''
    })
    return found
  }

  /** Returns what the marker says then: another node may have been first. */
  async #mark(key: string, marker: string): Promise<string> {
    const command = { Bucket: this.#options.location.bucket, Key: key, Body: marker, ContentType: 'text/plain' }
    await this.#call('put', async () => {
      try {
        await this.#client.send(new PutObjectCommand({ ...command, IfNoneMatch: '*' }), this.#quick)
      } catch (error) {
        if (isNamed(error, 'PreconditionFailed', 'ConditionalRequestConflict')) return
        if (!isNamed(error, 'NotImplemented')) throw error
        await this.#client.send(new PutObjectCommand(command), this.#quick)
      }
    })
    return (await this.#marker(key)) ?? ''
  }

  async #putObject(key: string, body: Readable, size: number, sha256: string): Promise<void> {
    const command = new PutObjectCommand({
      Bucket: this.#options.location.bucket,
      Key: key,
      Body: body,
      ContentLength: size,
      ContentType: 'application/octet-stream',
    })
    // The signer takes what is there already. A stream would go unsigned otherwise.
    command.middlewareStack.add(
      (next) => (args) => {
        const { request } = args
        if (isRequest(request)) request.headers['x-amz-content-sha256'] = sha256
        return next(args)
      },
      { step: 'build', name: 'contentSha256' },
    )
    await this.#client.send(command)
  }

  async #get(sha256: string, { start, end }: ByteRange, isWhole: boolean): Promise<Readable | null> {
    const found = await this.#unlessMissing('get', () =>
      this.#client.send(
        new GetObjectCommand({
          Bucket: this.#options.location.bucket,
          Key: this.#key(sha256),
          ...(!isWhole && { Range: `bytes=${start}-${end}` }),
        }),
        this.#quick,
      ),
    )
    if (!found) return null
    const { Body, ContentLength } = found
    if (!(Body instanceof Readable)) throw new Error('the store has sent no body')
    if (ContentLength === end - start + 1) return Body
    Body.destroy()
    throw new MediaDamagedError(`the store has sent ${ContentLength} bytes of ${sha256} in place of ${end - start + 1}`)
  }

  async #exists(key: string): Promise<boolean> {
    const { bucket } = this.#options.location
    const found = await this.#unlessMissing('head', () =>
      this.#client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), this.#quick),
    )
    return found !== null
  }

  /** Returns false if there is no such object. */
  async #copy(from: string, to: string): Promise<boolean> {
    const { bucket } = this.#options.location
    const copied = await this.#unlessMissing('copy', () =>
      this.#client.send(new CopyObjectCommand({ Bucket: bucket, CopySource: `${bucket}/${from}`, Key: to })),
    )
    return copied !== null
  }

  /** Deletes an object, with all its versions. Of a bucket that does not say whether it has any: what may be deleted. */
  async #delete(key: string): Promise<void> {
    const kept = await this.keepsVersions()
    if (kept === false) return this.#deleteOne(key)
    try {
      for await (const version of this.#versions(key)) await this.#deleteOne(key, version)
    } catch (error) {
      if (kept || !(error instanceof MediaStoreError && error.lasting)) throw error
      await this.#deleteOne(key)
    }
  }

  async #deleteOne(key: string, versionId?: string): Promise<void> {
    const object = { Bucket: this.#options.location.bucket, Key: key, ...(versionId !== undefined && { VersionId: versionId }) }
    await this.#call('delete', () => this.#client.send(new DeleteObjectCommand(object), this.#quick))
  }

  /** The versions of an object, and the marks of its deletions. */
  async *#versions(key: string): AsyncIterable<string> {
    const { bucket } = this.#options.location
    let next: { readonly KeyMarker?: string | undefined; readonly VersionIdMarker?: string | undefined } | null = {}
    while (next) {
      const at: { readonly KeyMarker?: string | undefined; readonly VersionIdMarker?: string | undefined } = next
      const page = await this.#call('versions', () =>
        this.#client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: key, ...at }), this.#quick),
      )
      for (const { Key, VersionId } of [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])]) {
        if (Key === key && VersionId !== undefined) yield VersionId
      }
      next = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker } : null
    }
  }

  /** The objects below the prefix, by what follows it. */
  async *#objects(below: string): AsyncIterable<{ readonly name: string; readonly size: number; readonly put_at: number }> {
    const { bucket, prefix } = this.#options.location
    try {
      const pages = paginateListObjectsV2({ client: this.#client }, { Bucket: bucket, Prefix: `${prefix}${below}` }, this.#quick)
      for await (const { Contents: found = [] } of pages) {
        for (const { Key = '', Size = 0, LastModified } of found) {
          yield { name: Key.slice(prefix.length), size: Size, put_at: LastModified?.getTime() ?? 0 }
        }
      }
    } catch (error) {
      throw error instanceof MediaStoreError ? error : this.#explained('list', error)
    }
  }

  async #unlessMissing<T>(operation: string, work: () => Promise<T>): Promise<T | null> {
    return this.#call(operation, async () => {
      try {
        return await work()
      } catch (error) {
        if (isMissing(error)) return null
        throw error
      }
    })
  }

  async #call<T>(operation: string, work: () => Promise<T>): Promise<T> {
    const began = performance.now()
    let outcome: 'ok' | 'failed' = 'failed'
    try {
      const done = await work()
      outcome = 'ok'
      return done
    } catch (error) {
      throw this.#explained(operation, error)
    } finally {
      this.#options.observe?.(operation, outcome, (performance.now() - began) / 1000)
    }
  }

  #explained(operation: string, error: unknown): MediaStoreError {
    return explained(error, operation, this.label)
  }
}

function silent(): void {}

function isRequest(request: unknown): request is { headers: Record<string, string> } {
  return typeof request === 'object' && request !== null && 'headers' in request
}
