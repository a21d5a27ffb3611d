import type { Call } from './requests.ts'

/** Who may read pages in the place of the thread that serves. */
export interface PageReader {
  /**
   * Reads one page of a collection, in a state of the database that has all that was committed when this was called. Returns the
   * JSON, in UTF-8 where another thread has rendered it. `here`: reads it on this thread; throws as `list` does.
   */
  page(call: Call, here: () => Promise<string>): Promise<string | Uint8Array>
}
