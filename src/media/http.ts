import { Readable } from 'node:stream'
import { pipeline as pipe } from 'node:stream/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Principal } from '../api/admission.ts'
import { permissionOf } from '../api/key-permissions.ts'
import type { NamedOperation } from '../api/operations.ts'
import { addressOf, baseOf } from '../api/origin.ts'
import { commonHeaders, paramsOf, pathOf, queryOf, respond, sendError } from '../api/respond.ts'
import { addPath } from '../api/routes.ts'
import type { Endpoint, Surface } from '../api/surface.ts'
import type { Clock } from '../clock.ts'
import { seconds } from '../dates.ts'
import { refuse } from '../errors.ts'
import { isJsonObject, parseJsonObject } from '../json.ts'
import { oneOf, parseParams, text } from '../model/params.ts'
import { newSid } from '../sids.ts'
import type { Database, Reader } from '../storage/database.ts'
import { accountBySid, conversationBySid, serviceBySid, serviceOfAccount } from '../storage/lookups.ts'
import type { MediaRow } from '../storage/schema.ts'
import type { Vault } from '../vault.ts'
import type { mediaCommands } from './commands.ts'
import type { ByteRange } from './contents.ts'
import { baseName, contentHeaders, downloadHeaders, isForm, isUnmodified, rangeOf, uploadedType } from './headers.ts'
import { lifetimeS, signedPath, TemporaryLinks } from './links.ts'
import { mediaPart } from './multipart.ts'
import { bytesOf, findMedia } from './rows.ts'
import type { MediaStore } from './store.ts'

const collection = '/Services/:service/Media'
const instance = `${collection}/:key`
const mediaSet = '/Services/:service/MediaSet'

/** What a restricted API key needs for each operation; nothing where a signed URL takes the place of credentials. */
const permissions = {
  CreateMedia: permissionOf('Create', 'Media'),
  FetchMedia: permissionOf('Fetch', 'Media'),
  FetchMediaContent: permissionOf('Fetch', 'Media'),
  FetchMediaSet: permissionOf('Fetch', 'Media'),
  DeleteMedia: permissionOf('Delete', 'Media'),
  FetchTemporaryMediaContent: null,
} as const

/** All operations that need credentials. */
export const mediaOperations: readonly NamedOperation[] = Object.entries(permissions).flatMap(([operation, permission]) =>
  permission === null ? [] : [{ operation, permission }],
)

/** Media that one request may ask for, and the length of its body. */
const maxSet = 100
const maxSetBytes = 64 * 1024

const params = {
  Category: oneOf(['media', 'body', 'history'], { invalid: 'invalidValue' }),
  Filename: text({ max: 256 }),
}

export interface MediaOptions {
  readonly store: MediaStore
  readonly database: Database<typeof mediaCommands>
  /** Reads committed rows; accounts and services are cached where possible. */
  readonly read: Reader
  readonly vault: Vault
  readonly clock: Clock
  readonly maxBytes: number
  /** Of all files of an account; null: none. */
  readonly quotaBytes: number | null
  /** Where temporary links lead. */
  readonly mediaLinks: 'server' | 'store'
  /** Null: derived from the request's Host header. */
  readonly publicUrl: string | null
  readonly log: Logger
  readonly bearers: Bearers
}

/** A user of a client SDK, by an access token. */
export interface Bearer {
  readonly account_sid: string
  readonly service_sid: string
  readonly identity: string
}

/** What is known about the users of client SDKs. */
export interface Bearers {
  /** Throws ApiError for a token that is not good. */
  readonly verify: (token: string, address: string) => Promise<Bearer>
  /** Whether a user may read the messages of a conversation. */
  readonly mayRead: (bearer: Bearer, conversation_sid: string) => Promise<boolean>
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Content type of an upload as sent; Fastify would refuse some. */
    uploadedType: string | undefined
    /** Whose access token the request has; null when it is authenticated as an account. */
    bearer: Bearer | null
  }
}

/** Returns the media routes of `/v1`: uploads of any type and size, and downloads by credentials or by a signed url. */
export function mediaSurfaces(options: MediaOptions): Surface[] {
  const media = new Media(options)
  const prepare = (request: FastifyRequest) => {
    request.uploadedType = request.headers['content-type']
    request.headers['content-type'] = 'application/octet-stream'
  }
  return [
    {
      prepare,
      streams: true,
      authenticate: (request) => media.authenticate(request),
      routes(plugin) {
        addStreamParser(plugin)
        addPath(plugin, mediaSet, { POST: media.endpoint('FetchMediaSet', media.fetchSet) })
        addPath(plugin, collection, { POST: media.endpoint('CreateMedia', media.upload) })
        addPath(plugin, instance, {
          GET: media.endpoint('FetchMedia', media.fetch),
          DELETE: media.endpoint('DeleteMedia', media.remove),
        })
        addPath(plugin, `${instance}/Content`, { GET: media.endpoint('FetchMediaContent', media.download) })
      },
    },
    {
      prepare,
      withoutCredentials: true,
      routes(plugin) {
        addStreamParser(plugin)
        addPath(plugin, `${instance}/Content/Temporary`, {
          GET: media.endpoint('FetchTemporaryMediaContent', media.downloadSigned),
        })
      },
    },
  ]
}

/** Leaves the body unparsed: handlers read it from the request as a stream. */
function addStreamParser(plugin: FastifyInstance): void {
  plugin.decorateRequest('uploadedType', undefined)
  plugin.decorateRequest('bearer', null)
  plugin.addContentTypeParser('*', (_request, _body, done) => done(null))
}

type Work = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

class Media {
  readonly #options: MediaOptions
  readonly #links: TemporaryLinks

  constructor(options: MediaOptions) {
    this.#options = options
    this.#links = new TemporaryLinks(options.vault)
  }

  endpoint(operation: keyof typeof permissions, work: Work): Endpoint {
    const permission = permissions[operation]
    return {
      operation,
      ...(permission !== null && { permission }),
      handler: (request, reply) => {
        work(request, reply).catch((error: unknown) => sendError(request, reply, error, this.#options.log))
      },
    }
  }

  /** Verifies the access token of a client SDK, if the request has one. */
  authenticate(request: FastifyRequest): Promise<Principal> | undefined {
    const token = request.headers['x-twilio-token']
    if (typeof token !== 'string') return undefined
    return this.#options.bearers.verify(token, addressOf(request)).then((bearer) => {
      request.bearer = bearer
      const { account_sid } = bearer
      return { account_sid, share: `apps of ${account_sid}` }
    })
  }

  readonly upload: Work = async (request, reply) => {
    const row = await receiveBody(request, reply, (body) => this.#add(request, body))
    respond(request, reply, 201, await this.#represent(request, row))
  }

  async #add(request: FastifyRequest, body: Readable): Promise<MediaRow> {
    const { store, database, clock, maxBytes, quotaBytes } = this.#options
    const { account_sid } = request
    const service_sid = await this.#serviceOf(request)
    const { Category, Filename } = parseParams(params, 'create', queryOf(request))
    const announced = Number(request.headers['content-length'] ?? 0)
    await this.#refuseFullQuota(account_sid)
    const fromApp = request.bearer !== null
    const part = isForm(request.uploadedType) ? await mediaPart(body, request.uploadedType ?? '', fromApp) : null
    const content_type = uploadedType(part ? part.content_type : request.uploadedType)
    if (!part && announced > maxBytes) throw refuse('mediaTooLarge')
    const [category, filename] = [Category ?? 'media', baseName(Filename ?? part?.filename)]
    return store.add(part?.bytes ?? body, maxBytes, async ({ sha256, size }) => {
      const now = clock.now(account_sid)
      const dates = { date_created: now, date_updated: now, revision: 1 }
      const unused = { author: request.bearer?.identity ?? null, conversation_sid: null, message_sid: null }
      const described = { sha256, size, content_type, filename, category }
      const row: MediaRow = { service_sid, sid: newSid('media', now), account_sid, ...described, ...unused, ...dates }
      await database.write('addMedia', { row, path: pathOf(request), quotaBytes })
      return row
    })
  }

  /** Before anything is written; whether this upload has room is decided with its row, once its size is known. */
  async #refuseFullQuota(account_sid: string): Promise<void> {
    const { database, quotaBytes } = this.#options
    if (quotaBytes !== null && (await bytesOf(database.read, account_sid)) >= quotaBytes) throw refuse('mediaQuotaExceeded')
  }

  readonly fetch: Work = async (request, reply) => {
    respond(request, reply, 200, await this.#represent(request, await this.#find(request)))
  }

  /** Client SDKs ask for the media of a message together. */
  readonly fetchSet: Work = async (request, reply) => {
    const sids = await receiveBody(request, reply, mediaSids)
    const service_sid = await this.#serviceOf(request)
    const now = this.#options.clock.now(request.account_sid)
    const records = sids.map(async (sid) => {
      const row = await this.#readable(request, service_sid, sid, now)
      const record = row && { media_record: JSON.parse(await this.#represent(request, row)) }
      return { code: record ? 200 : 404, media_sid: sid, ...record }
    })
    respond(request, reply, 200, JSON.stringify(await Promise.all(records)))
  }

  readonly remove: Work = async (request, reply) => {
    if (request.bearer) throw refuse('forbidden')
    const { service_sid, sid } = await this.#find(request)
    await this.#options.database.write('deleteMedia', { service_sid, sid, path: pathOf(request) })
    respond(request, reply, 204, null)
  }

  readonly download: Work = async (request, reply) => this.#send(request, reply, await this.#find(request))

  readonly downloadSigned: Work = async (request, reply) => {
    const query = queryOf(request)
    const { service = '', key = '' } = paramsOf(request)
    // The link has been signed with the time of its account.
    const owner = await this.#options.read.one(serviceBySid, { sid: service })
    const now = this.#options.clock.now(owner?.account_sid)
    if (!this.#links.allows(signedPath(service, key), query.last('Expires'), query.last('Signature'), now))
      throw refuse('forbidden')
    const row = await this.#findReachable(request, service, now)
    const account = await this.#options.read.one(accountBySid, { sid: row.account_sid })
    if (account?.status !== 'active') throw refuse('forbidden')
    await this.#send(request, reply, row)
  }

  async #find(request: FastifyRequest): Promise<MediaRow> {
    return this.#findReachable(request, await this.#serviceOf(request), this.#options.clock.now(request.account_sid))
  }

  /** Returns the SID of the path's service. Throws 404 when it does not exist or belongs to another account. */
  async #serviceOf(request: FastifyRequest): Promise<string> {
    const { service: sid = '' } = paramsOf(request)
    if (request.bearer && request.bearer.service_sid !== sid) throw refuse('notFound', { path: pathOf(request) })
    const service = await this.#options.read.one(serviceOfAccount, { sid, account_sid: request.account_sid })
    if (!service) throw refuse('notFound', { path: pathOf(request) })
    return service.sid
  }

  /** Reads media. Throws 404, at once also for those of a removed conversation, whose rows are removed in batches. */
  async #findReachable(request: FastifyRequest, service_sid: string, now: number): Promise<MediaRow> {
    const { key = '' } = paramsOf(request)
    const row = await this.#readable(request, service_sid, key, now)
    if (!row) throw refuse('notFound', { path: pathOf(request) })
    return row
  }

  async #readable({ bearer }: FastifyRequest, service_sid: string, sid: string, now: number): Promise<MediaRow | undefined> {
    const { read, bearers } = this.#options
    const row = await findMedia(read, service_sid, sid, now)
    if (!row) return undefined
    const { conversation_sid, author } = row
    if (conversation_sid !== null && !(await read.one(conversationBySid, { service_sid, sid: conversation_sid })))
      return undefined
    if (!bearer) return row
    // What no message carries yet is its uploader's.
    const allowed = conversation_sid === null ? author === bearer.identity : await bearers.mayRead(bearer, conversation_sid)
    return allowed ? row : undefined
  }

  async #represent(request: FastifyRequest, row: MediaRow): Promise<string> {
    const { publicUrl } = this.#options
    const root = `${baseOf(request, publicUrl)}/v1`
    const url = `${root}/Services/${row.service_sid}/Media/${row.sid}`
    return JSON.stringify({
      sid: row.sid,
      service_sid: row.service_sid,
      channel_sid: row.conversation_sid,
      message_sid: row.message_sid,
      date_created: seconds(row.date_created),
      date_updated: seconds(row.date_updated),
      date_upload_updated: seconds(row.date_created),
      size: row.size,
      content_type: row.content_type,
      filename: row.filename,
      category: row.category,
      author: row.author,
      is_multipart_upstream: false,
      url,
      links: {
        content: `${url}/Content`,
        content_direct_temporary: (await this.#linkToStore(row)) ?? this.#linkToServer(root, row),
      },
    })
  }

  /** The store sends the headers that it is told, but none that keeps a browser from guessing or from running what it opens. */
  async #linkToStore({ sha256, content_type, filename }: MediaRow): Promise<string | null> {
    if (this.#options.mediaLinks === 'server') return null
    const headers = downloadHeaders(content_type, filename)
    return this.#options.store.link(sha256, {
      lifetime_s: lifetimeS,
      content_type: headers['content-type'],
      content_disposition: headers['content-disposition'],
    })
  }

  #linkToServer(root: string, { service_sid, sid, account_sid }: MediaRow): string {
    const path = signedPath(service_sid, sid)
    return `${root}${path}?${this.#links.sign(path, this.#options.clock.now(account_sid))}`
  }

  async #send(request: FastifyRequest, reply: FastifyReply, row: MediaRow): Promise<void> {
    if (isUnmodified(request.headers, row)) return respond(request, reply, 304, null, contentHeaders(row))
    const range = rangeOf(request.headers, row)
    const { start, end } = range ?? { start: 0, end: row.size - 1 }
    const headers = [...commonHeaders(request), ...contentHeaders(row), 'content-length', String(end - start + 1)]
    if (range) headers.push('content-range', `bytes ${start}-${end}/${row.size}`)
    const bytes = request.method === 'HEAD' ? Readable.from([]) : await this.#open(request, row, { start, end })
    reply.hijack()
    reply.raw.writeHead(range ? 206 : 200, headers)
    reply.raw.setTimeout(request.server.limits.idleTimeoutMs)
    request.sentBytes = request.method === 'HEAD' ? 0 : end - start + 1
    await pipe(bytes, reply.raw)
      // The status has been sent: `pipe` signals the error by closing the connection.
      .catch((error: { code?: string }) => {
        if (!disconnected.test(error.code ?? '')) this.#options.log.error({ err: error }, 'download failed')
      })
  }

  async #open(request: FastifyRequest, row: MediaRow, range: ByteRange): Promise<Readable> {
    try {
      return await this.#options.store.open(row, range)
    } catch (error) {
      // Throws 404 when the row has been removed meanwhile.
      await this.#findReachable(request, row.service_sid, this.#options.clock.now(row.account_sid))
      throw error
    }
  }
}

/** Reads `{"command":"get","list":[{"media_sid":"ME…"}]}`. Throws `invalidValue`. */
async function mediaSids(body: Readable): Promise<readonly string[]> {
  const chunks: Buffer[] = []
  let size = 0
  const all: AsyncIterable<Buffer> = body.iterator({ destroyOnReturn: false })
  for await (const chunk of all) {
    size += chunk.length
    if (size > maxSetBytes) throw refuse('tooLarge')
    chunks.push(chunk)
  }
  const { command, list } = parseJsonObject(Buffer.concat(chunks).toString()) ?? {}
  if (command !== 'get' || !Array.isArray(list) || list.length > maxSet) throw refuse('invalidValue')
  return list.map((entry: unknown) => {
    const { media_sid } = isJsonObject(entry) ? entry : {}
    if (typeof media_sid !== 'string') throw refuse('invalidValue')
    return media_sid
  })
}

/** Codes of errors that the caller causes by disconnecting. */
const disconnected = /^(?:ERR_STREAM_|ECONNRESET|EPIPE)/

/**
 * Passes the body to `work` as a stream. An idle sender is disconnected. After a refusal the rest of the body is read and dropped,
 * so that the sender can read the response.
 */
async function receiveBody<T>(
  { raw, server }: FastifyRequest,
  reply: FastifyReply,
  work: (body: Readable) => Promise<T>,
): Promise<T> {
  raw.setTimeout(server.limits.idleTimeoutMs)
  raw.once('end', () => {
    // After the response Node's keep-alive time-out applies.
    if (!reply.raw.writableFinished) raw.setTimeout(0)
  })
  try {
    return await work(raw)
  } catch (error) {
    raw.unpipe()
    raw.resume()
    // A sender that has disconnected is no server error, and receives no response.
    throw raw.errored ? refuse('invalidValue') : error
  }
}
