import type { Readable } from 'node:stream'

/** What a file is stored and found by. */
export interface Content {
  /** Hex. */
  readonly sha256: string
  /** In bytes. */
  readonly size: number
}

/** Bytes of a content, both inclusive. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** A content that is kept. */
export interface Kept extends Content {
  /** When it was last put, in epoch ms of this machine. */
  readonly put_at: number
}

export interface Link {
  readonly lifetime_s: number
  readonly content_type: string
  readonly content_disposition: string
}

/** Where the bytes of media are kept, each content once. Which contents rows refer to is not known here. */
export interface Contents {
  /** Where that is, for messages. */
  readonly label: string
  /** The local folder into which uploads are received before they are put. */
  readonly incoming: string
  /** Keeps the content of a complete local file, which stays. Resolves once it is durable. What is kept already is replaced. */
  put(file: string, content: Content): Promise<void>
  has(sha256: string): Promise<boolean>
  /** Resolves once the first bytes can be read. Null if it is not there. Without a range: all of it. */
  open(content: Content, range?: ByteRange): Promise<Readable | null>
  /**
   * Takes a content away, asks again whether a row refers to it, and deletes it or puts it back: another process may be committing
   * such a row, and looks for its content after the commit.
   */
  remove(sha256: string, isUsed: () => Promise<boolean>): Promise<void>
  /** Whether anything is left of a content, deleted versions too. Throws when that cannot be found out. */
  isLeft(sha256: string): Promise<boolean>
  list(): AsyncIterable<Kept>
  /** Returns a URL at which anybody has the content for a time, with these headers. Null: links lead to the server. */
  link(sha256: string, link: Link): Promise<string | null>
  /** Removes what an interruption has left and no list shows, if it is older than `before`, in epoch ms. */
  removeIncomplete(before: number, isUsed: (sha256: string) => Promise<boolean>): Promise<void>
  close(): Promise<void>
}

/** The store of media does not do what it was asked for. The message says why, without secrets. */
export class MediaStoreError extends Error {
  override readonly name = 'MediaStoreError'
  readonly code = 'PARLEY_MEDIA_STORE'
  /** Whether the store, or what is set about it, must be changed; otherwise it may work later by itself. */
  readonly lasting: boolean

  constructor(message: string, { lasting, ...options }: ErrorOptions & { readonly lasting: boolean }) {
    super(message, options)
    this.lasting = lasting
  }
}

/** A content that is kept is not what its name says. */
export class MediaDamagedError extends Error {
  override readonly name = 'MediaDamagedError'
  readonly code = 'PARLEY_MEDIA_DAMAGED'
}
