import { ConfigError } from '../config-error.ts'
import type { Contents, MediaStoreError } from '../media/contents.ts'
import { type MediaConfig, openContents } from '../media/open.ts'

/**
 * Opens the media of an installation for a command, where any of them may be in a bucket; null when all are in its folder. `marker`:
 * what names the installation there. Throws ConfigError, also when the bucket does not respond.
 */
export async function openKeptMedia(config: MediaConfig, marker: string): Promise<Contents | null> {
  if (config.mediaStore === null && config.mediaPreviousStore === null) return null
  return openContents({ config, marker, unchecked: refuse })
}

function refuse(error: MediaStoreError): never {
  throw new ConfigError(error.message, { cause: error })
}
