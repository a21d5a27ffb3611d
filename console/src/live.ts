import { useEffect } from 'react'
import { queryClient } from './queries.ts'

/** Changes within so long lead to one read. */
const gatherMs = 150

/** What has changed since the last reads. */
const changed = new Set<string>()
let timer: ReturnType<typeof setTimeout> | undefined

/**
 * Follows what changes, and reads again what is shown of it. A hidden page does not: browsers keep few connections to one server.
 * When it is shown again, it reads everything.
 */
export function useLive(): void {
  useEffect(() => {
    let source: EventSource | undefined
    const open = () => {
      source = new EventSource('/admin/v1/events')
      for (const type of ['conversation', 'deliveries', 'clock', 'reset']) {
        source.addEventListener(type, ({ data }: MessageEvent<string>) => {
          const { sid } = JSON.parse(data) as { sid?: string }
          changed.add(sid === undefined ? type : `${type} ${sid}`)
          if (timer === undefined) timer = setTimeout(readAgain, gatherMs)
        })
      }
    }
    const follow = () => {
      if (document.hidden) {
        source?.close()
        source = undefined
      } else if (!source) {
        open()
        void queryClient.invalidateQueries()
      }
    }
    if (!document.hidden) open()
    document.addEventListener('visibilitychange', follow)
    return () => {
      document.removeEventListener('visibilitychange', follow)
      source?.close()
    }
  }, [])
}

function readAgain(): void {
  timer = undefined
  const all = [...changed]
  changed.clear()
  if (all.includes('reset')) return void queryClient.invalidateQueries()
  if (all.includes('clock')) {
    // What is due has been applied.
    for (const key of ['server', 'timers']) void queryClient.invalidateQueries({ queryKey: [key] })
  }
  const sids = all.flatMap((each) => (each.startsWith('conversation ') ? [each.slice('conversation '.length)] : []))
  for (const sid of sids) void queryClient.invalidateQueries({ queryKey: ['conversation', sid] })
  if (sids.length > 0) {
    void queryClient.invalidateQueries({ queryKey: ['timers'] })
    markLists('conversations')
  }
  if (all.includes('deliveries')) markLists('deliveries')
}

/** Lists of one page are read again; of longer ones the reader is told, who would lose the place. */
function markLists(key: string): void {
  void queryClient.invalidateQueries({ queryKey: [key], predicate: ({ state }) => !isLong(state.data) })
  void queryClient.invalidateQueries({ queryKey: [key], predicate: ({ state }) => isLong(state.data), refetchType: 'none' })
}

function isLong(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'pages' in data && Array.isArray(data.pages) && data.pages.length > 1
}
