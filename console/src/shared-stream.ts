/** What the stream of changes says. */
export interface StreamEvent {
  readonly type: string
  /** Of what has changed, where it is one thing. */
  readonly sid?: string | undefined
}

export interface Following {
  /** Called with each event. `start`: from here on nothing is missed, and what was read before may be old. */
  readonly onEvent: (event: StreamEvent) => void
  /** The server has refused the stream: whoever was signed in may not be any more. */
  readonly onRefused: () => void
}

/** What the pages of a browser tell each other. */
type Message =
  | { readonly kind: 'event'; readonly id: string; readonly event: StreamEvent }
  /** A page that has just come, and the answer of the one that leads: the stream goes on from this event. */
  | { readonly kind: 'hello' }
  | { readonly kind: 'begun'; readonly id: string }
  | { readonly kind: 'refused' }

const name = 'parley-events'
const types = ['conversation', 'user', 'deliveries', 'clock', 'reset', 'start']
/** Between a refusal and the next try: a server that restarts behind a proxy is refused, too. */
const retryMs = 5000

/**
 * Follows the stream of changes, together with the other pages of this browser: HTTP/1.1 leaves it six connections to one server. One page
 * holds the stream (and a lock) and tells the others. When it goes, the next one gets the lock and goes on behind the last event that it
 * was told of. Events may come twice, and none is missed: a stream that cannot go on says `start` or `reset` to all. Returns what ends it.
 *
 * Without a secure context there are no locks: then each page has a stream of its own.
 */
export function followStream({ onEvent, onRefused }: Following): () => void {
  const left = new AbortController()
  const channel = isShared() ? new BroadcastChannel(name) : null
  let lastId = ''
  let isLive = false
  /** Whether this page holds a stream that has begun. */
  let leads = false

  const tell = (message: Message) => channel?.postMessage(message)
  const take = (id: string, event: StreamEvent) => {
    lastId = id
    isLive ||= event.type === 'start'
    // Of what came before `start` everything is read again.
    if (isLive) onEvent(event)
  }
  const begin = (id: string) => {
    if (!isLive) take(id, { type: 'start' })
  }

  function open(): void {
    const source = new EventSource(`/admin/v1/events${lastId && `?last_event_id=${encodeURIComponent(lastId)}`}`)
    let retry: ReturnType<typeof setTimeout> | undefined
    source.addEventListener('open', () => {
      leads = true
      if (lastId === '') return
      begin(lastId)
      tell({ kind: 'begun', id: lastId })
    })
    for (const type of types) {
      source.addEventListener(type, ({ data, lastEventId }: MessageEvent<string>) => {
        const { sid } = JSON.parse(data) as { sid?: string }
        const event = { type, sid }
        take(lastEventId, event)
        tell({ kind: 'event', id: lastEventId, event })
      })
    }
    source.addEventListener('error', () => {
      leads = false
      // Any other end is a pause: the browser goes on by itself.
      if (source.readyState !== EventSource.CLOSED) return
      onRefused()
      tell({ kind: 'refused' })
      retry = setTimeout(open, retryMs)
    })
    left.signal.addEventListener('abort', () => {
      leads = false
      clearTimeout(retry)
      source.close()
    })
  }

  /** Holds the stream until this page leaves. */
  function lead(): Promise<void> {
    return new Promise((resolve) => {
      if (left.signal.aborted) return resolve()
      open()
      left.signal.addEventListener('abort', () => resolve())
    })
  }

  if (!channel) void lead()
  else {
    channel.addEventListener('message', ({ data }: MessageEvent<Message>) => {
      if (data.kind === 'event') take(data.id, data.event)
      else if (data.kind === 'begun') begin(data.id)
      else if (data.kind === 'refused') onRefused()
      else if (leads && lastId !== '') tell({ kind: 'begun', id: lastId })
    })
    tell({ kind: 'hello' })
    // Given up while it waits for the lock, which is how most pages leave.
    navigator.locks.request(name, { signal: left.signal }, lead).catch(() => {})
  }
  return () => {
    left.abort()
    channel?.close()
  }
}

function isShared(): boolean {
  return 'locks' in navigator && 'BroadcastChannel' in window
}
