/** One answer as it came over the socket. */
export interface Answer {
  readonly status: number
  /** Names in lower case, in the order in which they came; a name may come twice. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Buffer
}

export function headerOf({ headers }: Answer, name: string): string | undefined {
  return headers.find(([given]) => given === name)?.[1]
}

type Body = { readonly kind: 'length'; left: number } | { readonly kind: 'chunked' } | { readonly kind: 'close' }

/**
 * Takes answers out of a stream. What breaks the rules of HTTP/1.1 throws: with the lengths of the headers alone, a wrong one
 * shows as an answer that does not begin where it should.
 */
export class AnswerReader {
  readonly #answered: (answer: Answer) => void
  readonly #method: () => string
  #data: Buffer = Buffer.alloc(0)
  #head: Omit<Answer, 'body'> | null = null
  #body: Body = { kind: 'length', left: 0 }
  #parts: Buffer[] = []

  /** `method`: of the request that the next answer is for. */
  constructor(method: () => string, answered: (answer: Answer) => void) {
    this.#method = method
    this.#answered = answered
  }

  push(chunk: Buffer): void {
    this.#data = this.#data.length === 0 ? chunk : Buffer.concat([this.#data, chunk])
    while (this.#step());
  }

  /** The stream has ended. Throws in the middle of an answer. */
  end(): void {
    if (this.#head && this.#body.kind === 'close') this.#finish()
    else if (this.#head || this.#data.length > 0) throw new Error('the connection ended in the middle of an answer')
  }

  #step(): boolean {
    if (!this.#head) return this.#readHead()
    if (this.#body.kind === 'chunked') return this.#readChunk()
    return this.#readPlain(this.#body)
  }

  #readHead(): boolean {
    const end = this.#data.indexOf('\r\n\r\n')
    if (end === -1) {
      if (this.#data.length > 100_000) throw new Error('an answer has no end of its head')
      return false
    }
    const [first = '', ...lines] = this.#data.toString('latin1', 0, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1] ?? Number.NaN)
    if (Number.isNaN(status)) throw new Error(`an answer begins with ${JSON.stringify(first.slice(0, 100))}`)
    this.#data = this.#data.subarray(end + 4)
    // An interim answer: the real one is still to come.
    if (status < 200 && status !== 101) return true
    this.#head = { status, headers: lines.map(headerLine) }
    this.#body = this.#bodyOf(this.#head)
    if (this.#body.kind === 'length' && this.#body.left === 0) this.#finish()
    return this.#data.length > 0 || this.#head !== null
  }

  #bodyOf(head: Omit<Answer, 'body'>): Body {
    const values = (name: string) => head.headers.filter(([given]) => given === name).map(([, value]) => value)
    const lengths = values('content-length')
    if (lengths.length > 1) throw new Error('two content-length headers')
    if (this.#method() === 'HEAD' || head.status === 204 || head.status === 304 || head.status === 101)
      return { kind: 'length', left: 0 }
    if (values('transfer-encoding').includes('chunked')) return { kind: 'chunked' }
    const [length] = lengths
    if (length === undefined) return { kind: 'close' }
    if (!/^\d+$/.test(length)) throw new Error(`content-length is ${length}`)
    return { kind: 'length', left: Number(length) }
  }

  #readPlain(body: Exclude<Body, { kind: 'chunked' }>): boolean {
    if (this.#data.length === 0) return false
    const taken = body.kind === 'close' ? this.#data.length : Math.min(body.left, this.#data.length)
    this.#take(taken)
    if (body.kind === 'close') return false
    body.left -= taken
    if (body.left === 0) this.#finish()
    return this.#data.length > 0
  }

  #readChunk(): boolean {
    const end = this.#data.indexOf('\r\n')
    if (end === -1) return false
    const size = Number.parseInt(this.#data.toString('latin1', 0, end), 16)
    if (Number.isNaN(size)) throw new Error('a chunk has no size')
    if (this.#data.length < end + size + 4) return false
    this.#data = this.#data.subarray(end + 2)
    this.#take(size)
    this.#data = this.#data.subarray(2)
    if (size === 0) this.#finish()
    return this.#data.length > 0
  }

  #take(length: number): void {
    this.#parts.push(this.#data.subarray(0, length))
    this.#data = this.#data.subarray(length)
  }

  #finish(): void {
    const head = this.#head
    this.#head = null
    const body = Buffer.concat(this.#parts)
    this.#parts = []
    if (head) this.#answered({ ...head, body })
  }
}

function headerLine(line: string): readonly [string, string] {
  const colon = line.indexOf(':')
  if (colon < 1) throw new Error(`an answer has the header line ${JSON.stringify(line.slice(0, 100))}`)
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
}
