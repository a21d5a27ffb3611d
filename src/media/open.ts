import { type Config, ConfigError, mediaFolder } from '../config.ts'
import type { BucketTimeouts } from './bucket.ts'
import { type Contents, MediaStoreError } from './contents.ts'
import { incomingFolder } from './files.ts'
import { FolderContents } from './folder.ts'

/** What says where media are kept. */
export type MediaConfig = Pick<Config, 'database' | 'dataDir' | 'mediaUrl' | 'mediaAccessKeyId' | 'mediaSecretAccessKey'>

/** One put of S3 takes no more. */
const maxPutBytes = 5 * 1024 ** 3

/** Throws ConfigError for settings of the store of media that do not fit each other. */
export function checkMediaSettings(config: MediaConfig & Pick<Config, 'mediaMaxBytes' | 'mediaLinks'>): void {
  const { database, mediaUrl, mediaAccessKeyId, mediaSecretAccessKey, mediaMaxBytes, mediaLinks } = config
  if ((mediaAccessKeyId === null) !== (mediaSecretAccessKey === null)) {
    throw new ConfigError('PARLEY_MEDIA_ACCESS_KEY_ID and PARLEY_MEDIA_SECRET_ACCESS_KEY belong together: set both, or neither')
  }
  if (mediaUrl === null) {
    if (mediaLinks === 'server') return
    throw new ConfigError('PARLEY_MEDIA_LINKS=store needs PARLEY_MEDIA_URL: a folder has no links of its own')
  }
  if (database.engine === 'sqlite' && database.file === ':memory:') {
    throw new ConfigError('PARLEY_MEDIA_URL needs a database that stays: the files in the bucket would belong to nobody')
  }
  if (mediaMaxBytes > maxPutBytes) {
    throw new ConfigError(
      `PARLEY_MEDIA_MAX_BYTES must be at most ${maxPutBytes} with PARLEY_MEDIA_URL, as a bucket takes no more at once`,
    )
  }
}

export interface OpenContents {
  readonly config: MediaConfig
  /** Names the installation in a bucket. */
  readonly marker: string
  /** Called when a bucket cannot be checked now. */
  readonly unchecked: (error: MediaStoreError) => void
  readonly timeouts?: Partial<BucketTimeouts> | undefined
}

/**
 * Opens where media are kept. A bucket is checked: throws ConfigError when somebody has to mend it or its settings; one that does not
 * respond may do so later. Its code is loaded only here.
 */
export async function openContents({ config, marker, unchecked, timeouts }: OpenContents): Promise<Contents> {
  const { mediaUrl: location, mediaAccessKeyId: accessKeyId, mediaSecretAccessKey: secretAccessKey } = config
  const folder = mediaFolder(config)
  if (location === null || folder === null) return FolderContents.open(folder)
  const { BucketContents } = await import('./bucket.ts')
  const credentials = accessKeyId === null || secretAccessKey === null ? null : { accessKeyId, secretAccessKey }
  const incoming = incomingFolder(folder)
  const bucket = await BucketContents.open({ location, credentials, incoming, marker, timeouts })
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
