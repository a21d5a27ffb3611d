import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { mediaFolder } from '../data-folders.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import { type Contents, type Kept, MediaDamagedError, MediaStoreError } from '../media/contents.ts'
import { removeEmptyFolders } from '../media/folder.ts'
import { checkMediaSettings, mediaFact, mediaPlace, openPlaces } from '../media/open.ts'
import { databaseLabel } from '../setting-values.ts'
import type { Endpoint } from './endpoint.ts'
import { installationOf, mediaMarkerOf, sourceCheck } from './inspect.ts'
import { openEndpoint, refuseMemory } from './open.ts'
import type { Progress } from './progress.ts'

const filesAtOnce = 8

export interface MoveOptions {
  readonly config: Config
  /** Only counts. */
  readonly dryRun: boolean
  readonly progress: Progress
}

interface Moved {
  files: number
  bytes: number
  /** No row refers to them: the cleanup of the server removes them. */
  unused: number
  /** Their bytes are not those that their name says. */
  readonly damaged: string[]
}

/**
 * Moves media from where they were kept before to where the servers, which may be running, keep them now. Each is verified, put, and
 * only then removed, so that a move that was killed goes on when it is started again. Throws ConfigError.
 */
export async function moveMedia(options: MoveOptions): Promise<void> {
  const { config, progress } = options
  refuseMemory(config.database, 'PARLEY_DATABASE_URL')
  checkMediaSettings(config)
  await explainErrors(config, async () => {
    const endpoint = await openEndpoint(config.database)
    try {
      await sourceCheck(endpoint, databaseLabel(config.database))
      const marker = await mediaMarkerOf(endpoint)
      await refuseOtherPlace(endpoint, config)
      const refuse = (error: MediaStoreError) => {
        throw new ConfigError(error.message, { cause: error })
      }
      const { current, previous } = await openPlaces({ config, marker, unchecked: refuse })
      try {
        if (previous.length === 0) progress.say(`Nothing is to be moved: all media are in ${current.label}.`)
        for (const from of previous) await moveAll(new Move(endpoint, from, current), options)
      } finally {
        progress.end()
        for (const contents of [current, ...previous]) await contents.close()
      }
    } finally {
      await endpoint.close()
    }
  }).catch((error: unknown) => {
    throw error instanceof MediaStoreError ? new ConfigError(`${error.message}. Run it again to go on`, { cause: error }) : error
  })
}

/** Throws ConfigError unless servers with these settings have been started: others would not find what is moved. */
async function refuseOtherPlace(endpoint: Endpoint, config: Config): Promise<void> {
  const place = (await installationOf(endpoint))[mediaFact] ?? mediaPlace({ mediaStore: null })
  if (place === mediaPlace(config)) return
  throw new ConfigError(
    `the servers keep media in ${place}, not in ${mediaPlace(config)}: start them with the same PARLEY_MEDIA_STORE and PARLEY_MEDIA_PREVIOUS_STORE first`,
  )
}

async function moveAll(move: Move, { config, dryRun, progress }: MoveOptions): Promise<void> {
  const { from, to } = move
  let total = 0
  for await (const _ of from.list()) total++
  if (!dryRun) progress.begin(total, 0)
  let some: Kept[] = []
  const flush = async () => {
    const results = await Promise.allSettled(some.map((kept) => move.one(kept, dryRun)))
    progress.step('files', some.length)
    some = []
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }
  for await (const kept of from.list()) {
    some.push(kept)
    if (some.length === filesAtOnce) await flush()
  }
  await flush()
  progress.end()
  const folder = mediaFolder(config)
  if (!dryRun && from.label === folder) await removeEmptyFolders(folder)
  const { files, bytes, unused, damaged } = move.moved
  progress.say(`${files} files (${bytes} bytes) ${dryRun ? 'are to be' : 'were'} moved from ${from.label} to ${to.label}.`)
  if (unused > 0) progress.say(`${unused} files belong to no message: the server removes them.`)
  if (damaged.length === 0) return
  throw new ConfigError(
    `damaged, and left where they are: ${damaged.length} (the first is ${damaged[0]}). Restore them from a backup`,
  )
}

class Move {
  readonly moved: Moved = { files: 0, bytes: 0, unused: 0, damaged: [] }
  readonly from: Contents
  readonly to: Contents
  readonly #endpoint: Endpoint

  constructor(endpoint: Endpoint, from: Contents, to: Contents) {
    this.#endpoint = endpoint
    this.from = from
    this.to = to
  }

  async one(kept: Kept, dryRun: boolean): Promise<void> {
    const { sha256, size } = kept
    if (!(await this.#isUsed(sha256))) {
      this.moved.unused++
      return
    }
    if (!dryRun && !(await this.#copy(kept))) return
    this.moved.files++
    this.moved.bytes += size
  }

  /** Returns whether it has been moved. */
  async #copy({ sha256, size }: Kept): Promise<boolean> {
    const file = join(this.to.incoming, randomUUID())
    try {
      const source = await this.from.open({ sha256, size })
      // The server may have removed it meanwhile.
      if (!source) return false
      const hash = createHash('sha256')
      const measured = async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          hash.update(chunk)
          yield chunk
        }
      }
      await pipeline(source, measured, createWriteStream(file, { flags: 'wx', mode: 0o600 }))
      if (hash.digest('hex') !== sha256) throw new MediaDamagedError()
      await this.to.put(file, { sha256, size })
    } catch (error) {
      if (!(error instanceof MediaDamagedError)) throw error
      this.moved.damaged.push(sha256)
      return false
    } finally {
      await rm(file, { force: true })
    }
    const isUsed = () => this.#isUsed(sha256)
    // Its last row may have gone while it was copied; whoever removed it then did not see the copy.
    if (!(await isUsed())) await this.to.remove(sha256, isUsed)
    await this.from.remove(sha256, async () => false)
    return true
  }

  /** As it is now: not in a snapshot. */
  async #isUsed(sha256: string): Promise<boolean> {
    const row = await this.#endpoint.db.selectFrom('media').select('sid').where('sha256', '=', sha256).executeTakeFirst()
    return row !== undefined
  }
}
