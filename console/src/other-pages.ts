/** Whether somebody has come or gone; the pages of a browser have one cookie. */
export type SessionChange = 'in' | 'out'

const name = 'parley-session'

/** Tells the other pages of this browser. */
export function tellOthers(change: SessionChange): void {
  const channel = new BroadcastChannel(name)
  channel.postMessage(change)
  // What was posted still arrives.
  channel.close()
}

/** Calls `listener` when another page of this browser says so. Returns what ends it. */
export function onOthers(listener: (change: SessionChange) => void): () => void {
  const channel = new BroadcastChannel(name)
  channel.addEventListener('message', ({ data }: MessageEvent<SessionChange>) => listener(data))
  return () => channel.close()
}
