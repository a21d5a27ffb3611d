import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeFolder } from '../../folders.ts'
import { isJsonObject } from '../../json.ts'
import { contentFile } from '../../media/files.ts'
import { isConfidential } from '../../urls.ts'
import { isPassing } from './backoff.ts'
import { type HostedClient, HostedError, PassingError } from './client.ts'

/** A file that lies on the disk. */
export interface Fetched {
  /** In hex. */
  readonly sha256: string
  readonly size: number
}

/** Redirects that are followed from the link of one file. */
const maxRedirects = 5

/**
 * Fetches the files of messages into `media/ab/cd/<sha256>` of a folder. The media host is sent the credentials, for the link of
 * a file; the host that the link leads to is not.
 */
export class MediaFetcher {
  readonly #client: HostedClient
  readonly #base: string
  readonly #folder: string

  /** `base`: where the media API is, without `/v1`. */
  constructor(client: HostedClient, base: string, folder: string) {
    this.#client = client
    this.#base = base
    this.#folder = folder
  }

  /** Fetches one file; goes on with the part that an interrupted run has left. `size`: bytes that the message says it has. Throws HostedError. */
  async fetch(service: string, sid: string, size: number | null): Promise<Fetched> {
    if (!/^ME[0-9a-f]{32}$/i.test(sid)) throw new HostedError('not the SID of a file', 200)
    const part = join(this.#folder, 'media', 'partial', sid)
    makeFolder(dirname(part))
    await this.#fetchInto(part, `/v1/Services/${service}/Media/${sid}`)
    const fetched = await digestOf(part)
    if (size !== null && fetched.size !== size) {
      await rm(part)
      throw new HostedError(`${sid}: ${fetched.size} bytes in place of ${size}`, 200)
    }
    const file = contentFile(join(this.#folder, 'media'), fetched.sha256)
    makeFolder(dirname(file))
    await rename(part, file)
    return fetched
  }

  async #fetchInto(part: string, path: string): Promise<void> {
    // A link that has expired meanwhile is replaced, once.
    for (let links = 1; ; links++) {
      const link = contentLink(await this.#client.get(path, this.#base), path)
      try {
        await this.#client.withRetries(path, () => this.#fetchOnce(part, link))
        return
      } catch (error) {
        if (links === 2 || !(error instanceof HostedError && error.status === 403)) throw error
      }
    }
  }

  /** Appends what is missing of the file, if the far side sends ranges; otherwise writes it anew. */
  async #fetchOnce(part: string, link: URL): Promise<void> {
    const have = await sizeOf(part)
    const response = await this.#follow(link, have > 0 ? { range: `bytes=${have}-` } : {})
    const { statusCode: status, headers, body } = response
    const isContinued = status === 206 && String(headers['content-range']).startsWith(`bytes ${have}-`)
    // All of it is here already: the run was interrupted before it was given its name.
    const isComplete = status === 416 && have > 0 && String(headers['content-range']) === `bytes */${have}`
    if (status !== 200 && !isContinued) {
      await body.dump()
      if (isComplete) return
      if (status === 416) await rm(part)
      if (isPassing(status) || status === 206 || status === 416) {
        const retryAfter = headers['retry-after']
        throw new PassingError(`status ${status}`, status, typeof retryAfter === 'string' ? retryAfter : undefined)
      }
      throw new HostedError(`the file is refused with ${status}`, status)
    }
    const file = await open(part, isContinued ? 'a' : 'w', 0o600)
    try {
      for await (const chunk of body) await file.writeFile(chunk)
      await file.datasync()
    } finally {
      await file.close()
    }
  }

  async #follow(link: URL, headers: Readonly<Record<string, string>>) {
    let at = link
    for (let redirects = 0; ; redirects++) {
      const response = await this.#client.send(checked(at), headers, false)
      const { location } = response.headers
      if (response.statusCode < 300 || response.statusCode >= 400 || typeof location !== 'string') return response
      await response.body.dump()
      if (redirects === maxRedirects || !URL.canParse(location, at.href))
        throw new HostedError('redirects that lead nowhere', response.statusCode)
      at = new URL(location, at)
    }
  }
}

function contentLink(media: Readonly<Record<string, unknown>>, path: string): URL {
  const link = isJsonObject(media.links) ? media.links.content_direct_temporary : undefined
  if (typeof link !== 'string' || !URL.canParse(link)) throw new HostedError(`${path}: no link to its content`, 200)
  return new URL(link)
}

/** Throws HostedError for a URL that would be read without encryption, from another machine. */
function checked(url: URL): URL {
  if (isConfidential(url)) return url
  throw new HostedError(`a link of ${url.protocol.slice(0, -1)} to ${url.hostname}, which is not https`, 200)
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0
}

/** Reads the file once more: what was appended to is one file, whoever wrote its parts. */
async function digestOf(path: string): Promise<Fetched> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk)
    size += chunk.length
  }
  return { sha256: hash.digest('hex'), size }
}
