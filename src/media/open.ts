import { type BucketLocation, bucketLabel } from '../bucket-url.ts'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { mediaFolder } from '../data-folders.ts'
import type { BucketTimeouts, ObserveBucket } from './bucket.ts'
import { type Contents, MediaStoreError } from './contents.ts'
import { incomingFolder } from './files.ts'
import { FolderContents, holdsContents } from './folder.ts'
import { WithPrevious } from './previous.ts'

/** What says where media are kept. */
export type MediaConfig = Pick<
  Config,
  'database' | 'dataDir' | 'mediaStore' | 'mediaPreviousStore' | 'mediaAccessKeyId' | 'mediaSecretAccessKey'
>

/** One put of S3 takes no more. */
const maxPutBytes = 5 * 1024 ** 3

/** Throws ConfigError for settings of the store of media that do not fit each other. */
export function checkMediaSettings(config: MediaConfig & Pick<Config, 'mediaMaxBytes' | 'mediaLinks'>): void {
  const { database, mediaStore, mediaPreviousStore, mediaAccessKeyId, mediaSecretAccessKey, mediaMaxBytes, mediaLinks } = config
  if ((mediaAccessKeyId === null) !== (mediaSecretAccessKey === null)) {
    throw new ConfigError('PARLEY_MEDIA_ACCESS_KEY_ID and PARLEY_MEDIA_SECRET_ACCESS_KEY belong together: set both, or neither')
  }
  if (mediaPreviousStore !== null && mediaPlace({ mediaStore }) === bucketLabel(mediaPreviousStore)) {
    throw new ConfigError('PARLEY_MEDIA_PREVIOUS_STORE is the bucket of PARLEY_MEDIA_STORE: leave it out')
  }
  if (mediaStore === null) {
    if (mediaLinks === 'server') return
    throw new ConfigError('PARLEY_MEDIA_LINKS=store needs PARLEY_MEDIA_STORE: a folder has no links of its own')
  }
  if (database.engine === 'sqlite' && database.file === ':memory:') {
    throw new ConfigError('PARLEY_MEDIA_STORE needs a database that stays: the files in the bucket would belong to nobody')
  }
  if (mediaMaxBytes > maxPutBytes) {
    throw new ConfigError(
      `PARLEY_MEDIA_MAX_BYTES must be at most ${maxPutBytes} with PARLEY_MEDIA_STORE, as a bucket takes no more at once`,
    )
  }
}

/** Says where an installation keeps its media; absent: in its folder. */
export const mediaFact = 'media_store'

/** Returns what `mediaFact` is with these settings. */
export function mediaPlace({ mediaStore }: Pick<Config, 'mediaStore'>): string {
  return mediaStore === null ? 'folder' : bucketLabel(mediaStore)
}

export interface OpenContents {
  readonly config: MediaConfig
  /** Names the installation in a bucket. */
  readonly marker: string
  /** Called when a bucket cannot be checked now. */
  readonly unchecked: (error: MediaStoreError) => void
  readonly timeouts?: Partial<BucketTimeouts> | undefined
  readonly observe?: ObserveBucket
}

/** Opens where media are kept, and were kept before. Throws as `openPlaces`. */
export async function openContents(options: OpenContents): Promise<Contents> {
  const { current, previous } = await openPlaces(options)
  return previous.length === 0 ? current : new WithPrevious(current, previous)
}

/**
 * Opens where media are kept, and where some may still be that were kept there before. A bucket is checked: throws ConfigError when
 * somebody has to mend it or its settings; one that does not respond may do so later.
 */
export async function openPlaces(options: OpenContents): Promise<{ current: Contents; previous: readonly Contents[] }> {
  const { mediaStore, mediaPreviousStore } = options.config
  const folder = mediaFolder(options.config)
  if (folder === null) return { current: await FolderContents.open(null), previous: [] }
  const opened: Contents[] = []
  try {
    const current = mediaStore === null ? await FolderContents.open(folder) : await openBucket(options, mediaStore, folder)
    opened.push(current)
    if (mediaPreviousStore !== null) opened.push(await openBucket(options, mediaPreviousStore, folder))
    if (mediaStore !== null && (await holdsContents(folder))) opened.push(await FolderContents.open(folder))
    return { current, previous: opened.slice(1) }
  } catch (error) {
    for (const contents of opened) await contents.close()
    throw error
  }
}

/** The code of buckets is loaded only here. */
async function openBucket(options: OpenContents, location: BucketLocation, folder: string): Promise<Contents> {
  const { config, marker, timeouts, unchecked, observe } = options
  const { mediaAccessKeyId: accessKeyId, mediaSecretAccessKey: secretAccessKey } = config
  const { BucketContents } = await import('./bucket.ts')
  const credentials = accessKeyId === null || secretAccessKey === null ? null : { accessKeyId, secretAccessKey }
  const incoming = incomingFolder(folder)
  const bucket = await BucketContents.open({ location, credentials, incoming, marker, timeouts, observe })
  try {
    await bucket.claim()
  } catch (error) {
    if (error instanceof MediaStoreError && !error.lasting) unchecked(error)
    else {
      await bucket.close()
      throw error instanceof MediaStoreError ? new ConfigError(error.message, { cause: error }) : error
    }
  }
  return bucket
}
