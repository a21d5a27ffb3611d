import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isJsonObject } from '../json.ts'
import { contentFile } from '../media/files.ts'
import { mediaBySid } from '../media/rows.ts'
import type { Json } from '../records/format.ts'
import type { MediaFetcher } from '../transfer/hosted/media.ts'
import { textOf } from '../transfer/hosted/record.ts'
import type { MirrorStore } from './store.ts'

/** Fetches files into a folder, from where they are put to the others. */
export interface MediaSource {
  readonly fetcher: Pick<MediaFetcher, 'fetch'>
  readonly folder: string
  readonly keep: (file: string) => Promise<void>
}

/** Returns the files of a message with their contents, which are fetched unless they are here; null where there is none. */
export async function filesOf(
  { media, store }: { readonly media: MediaSource | null; readonly store: MirrorStore },
  service: string,
  { media: listed, author }: Json,
): Promise<Json[] | null> {
  if (!media || !Array.isArray(listed) || listed.length === 0) return null
  const files: Json[] = []
  for (const file of listed.filter(isJsonObject)) {
    const sid = textOf(file, 'sid')
    const known = await store.options.database.read.one(mediaBySid, { service_sid: service, sid })
    const { size } = file
    const fetched = known ?? (await media.fetcher.fetch(service, sid, typeof size === 'number' ? size : null))
    if (!known) {
      const fetchedFile = contentFile(join(media.folder, 'media'), fetched.sha256)
      await media.keep(fetchedFile).finally(() => rm(fetchedFile, { force: true }))
    }
    const { content_type = null, filename = null } = file
    files.push({
      sid,
      sha256: fetched.sha256,
      size: fetched.size,
      content_type,
      filename,
      category: 'media',
      author: author ?? null,
    })
  }
  return files
}
