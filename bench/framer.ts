/**
 * Finds the end of HTTP/1.1 messages, and nothing else. A real client or server would cost ten times as much and distort the
 * figures. Supports only messages with a Content-Length, one in flight at a time.
 */
export class Framer {
  readonly #ended: (status: number) => void
  /** Bytes of the body that are still missing; null while the head is incomplete. */
  #left: number | null = null
  #status = 0
  #head: Buffer | null = null

  /** `ended` receives the status of a response; for a request, a meaningless number. */
  constructor(ended: (status: number) => void) {
    this.#ended = ended
  }

  push(chunk: Buffer): void {
    if (this.#left === null) this.#readHead(this.#head ? Buffer.concat([this.#head, chunk]) : chunk)
    else this.#left -= chunk.length
    if (this.#left === null || this.#left > 0) return
    if (this.#left < 0) throw new Error('more than one message at a time')
    this.#left = null
    this.#ended(this.#status)
  }

  #readHead(data: Buffer): void {
    const end = data.indexOf('\r\n\r\n')
    this.#head = end === -1 ? data : null
    if (end === -1) return
    const head = data.toString('latin1', 0, end + 2)
    this.#status = Number(head.slice(9, 12))
    // Matches `Content-Length` and `content-length`.
    const length = head.indexOf('ength: ')
    if (length === -1 && !head.startsWith('GET ')) throw new Error(`a message without a length: ${head}`)
    const body = length === -1 ? 0 : Number.parseInt(head.slice(length + 7, length + 18), 10)
    this.#left = body - (data.length - end - 4)
  }
}
