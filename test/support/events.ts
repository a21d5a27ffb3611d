import { adminToken } from './server.ts'

export interface StreamedEvent {
  readonly id: string
  readonly type: string
  readonly data: { readonly sid?: string }
}

export interface EventStream extends AsyncDisposable {
  /** The next event that `wanted` accepts; the others are passed over. Throws when the stream ends before it. */
  next(wanted: (event: StreamedEvent) => boolean): Promise<StreamedEvent>
  /** Resolves when the server has ended the stream. */
  readonly ended: Promise<void>
}

/** Follows `GET /admin/v1/events`. `last`: the id of an event, as a header or in the query. */
export async function followEvents(
  { url }: { readonly url: string },
  last?: string | { readonly query: string },
  token = adminToken,
): Promise<EventStream> {
  const abort = new AbortController()
  const query = typeof last === 'object' ? `?${new URLSearchParams({ last_event_id: last.query })}` : ''
  const response = await fetch(`${url}/admin/v1/events${query}`, {
    headers: { authorization: `Bearer ${token}`, ...(typeof last === 'string' && { 'last-event-id': last }) },
    signal: abort.signal,
  })
  if (!response.ok || !response.body) throw new Error(`the stream was answered ${response.status}`)
  const received: StreamedEvent[] = []
  let over = false
  let wake = () => {}
  const read = async (body: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true })
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      received.push(...blocks.flatMap(parse))
      wake()
    }
  }
  const ended = read(response.body)
    .catch((error: Error) => {
      // A server that stops may cut its connections.
      if (error.name !== 'AbortError' && error.message !== 'terminated') throw error
    })
    .finally(() => {
      over = true
      wake()
    })
  return {
    async next(wanted) {
      for (;;) {
        for (let event = received.shift(); event; event = received.shift()) if (wanted(event)) return event
        if (over) throw new Error('the stream has ended')
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    ended,
    async [Symbol.asyncDispose]() {
      abort.abort()
      await ended
    },
  }
}

function parse(block: string): StreamedEvent[] {
  const fields = new Map(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]))
  const [id, type, data] = [fields.get('id'), fields.get('event'), fields.get('data')]
  return id === undefined || type === undefined ? [] : [{ id, type, data: JSON.parse(data ?? '{}') }]
}
