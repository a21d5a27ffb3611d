/** What is known of a span. No identity, name, address, text or URL may be among it. */
export type SpanFacts = Readonly<Record<string, string | number | undefined>>

/** A part of the work on a request, from its start to its end. */
export interface Span {
  /**
   * The W3C trace context for what follows from it. Plain text, so that it crosses to the writer thread, to the row of a delivery and
   * to other nodes.
   */
  readonly traceparent: string
  /** Called once. `failed`: what it was about did not succeed. */
  end(facts: SpanFacts, failed: boolean): void
}

/** Makes spans. Where traces are off there is none, and nothing is spent on them. */
export interface Tracer {
  /** `parent`: a trace context; a malformed one counts as none. */
  start(name: string, kind: 'server' | 'internal' | 'client', parent: string | undefined, facts: SpanFacts): Span
}

/** Runs `work` in a span. */
export async function inSpan<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work()
    span.end({}, false)
    return result
  } catch (error) {
    span.end({}, true)
    throw error
  }
}
