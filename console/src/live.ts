import type { Query } from '@tanstack/react-query'
import { useEffect } from 'react'
import { queryClient } from './queries.ts'
import { followStream, type StreamEvent } from './shared-stream.ts'

/** Changes within so long lead to one read. */
const gatherMs = 150

/** What has changed since the last reads. */
const changed = new Set<string>()
let timer: ReturnType<typeof setTimeout> | undefined

/**
 * Follows what changes, and reads again what is shown of it. A hidden page does not: nobody looks at what it would read. When it is shown
 * again, it begins anew and reads everything.
 */
export function useLive(): void {
  useEffect(() => {
    let leave: (() => void) | undefined
    const follow = () => {
      if (document.hidden) {
        leave?.()
        leave = undefined
      } else leave ??= followStream({ onEvent, onRefused })
    }
    follow()
    document.addEventListener('visibilitychange', follow)
    return () => {
      document.removeEventListener('visibilitychange', follow)
      leave?.()
    }
  }, [])
}

function onEvent({ type, sid }: StreamEvent): void {
  changed.add(sid === undefined ? type : `${type} ${sid}`)
  if (timer === undefined) timer = setTimeout(readAgain, gatherMs)
}

function onRefused(): void {
  void queryClient.invalidateQueries({ queryKey: ['session'] })
}

/**
 * One round after the other, and no read is broken off: under load it would never end, and the next page that somebody has asked
 * for would not come. What was being read already may be old: it has another round.
 */
async function readAgain(): Promise<void> {
  const all = [...changed]
  changed.clear()
  const busy = queryClient.getQueryCache().findAll({ fetchStatus: 'fetching' })
  await Promise.allSettled([...readsOf(all), ...busy.map(({ promise }) => promise)])
  if (busy.length > 0) for (const each of all) changed.add(each)
  // Says that what is shown follows what happens: until then everything is read twice.
  else if (all.includes('start')) document.documentElement.dataset.live = ''
  timer = changed.size > 0 ? setTimeout(readAgain, gatherMs) : undefined
}

function readsOf(all: readonly string[]): Promise<void>[] {
  // What was read before the stream began may have changed by then.
  if (all.includes('reset') || all.includes('start')) return invalidate([])
  const keys: (readonly string[])[] = []
  // What is due when the clock moves is applied, and leads to events of its own.
  if (all.includes('clock')) keys.push(['server'], ['timers'])
  for (const each of all) if (each.startsWith('user ')) keys.push(['user', each.slice('user '.length)])
  const sids = all.flatMap((each) => (each.startsWith('conversation ') ? [each.slice('conversation '.length)] : []))
  for (const sid of sids) keys.push(['conversation', sid])
  if (sids.length > 0) keys.push(['timers'], ['conversations'], ['memberships'], ['threads'])
  if (all.includes('deliveries')) keys.push(['deliveries'])
  return keys.flatMap(invalidate)
}

/** Reads again what is shown under a key; of lists of several pages the reader is told, who would lose the place. */
function invalidate(queryKey: readonly string[]): Promise<void>[] {
  return [
    queryClient.invalidateQueries({ queryKey, predicate: (query) => !isLongList(query) }, { cancelRefetch: false }),
    queryClient.invalidateQueries({ queryKey, predicate: isLongList, refetchType: 'none' }),
  ]
}

function isLongList({ queryKey: [key], state: { data } }: Query): boolean {
  // The messages of the one that is open: what changes among them is shown where it is.
  if (key === 'conversation') return false
  return typeof data === 'object' && data !== null && 'pages' in data && Array.isArray(data.pages) && data.pages.length > 1
}
