import { useSyncExternalStore } from 'react'

let said = ''
let timer: ReturnType<typeof setTimeout> | undefined
const listeners = new Set<() => void>()

/** Says in passing that something has been done; screen readers say it aloud. */
export function announce(text: string): void {
  said = text
  clearTimeout(timer)
  timer = setTimeout(() => announce(''), 4000)
  for (const listener of listeners) listener()
}

export function Announcements() {
  const text = useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => said,
  )
  return (
    <output className="announcement" aria-live="polite">
      {text}
    </output>
  )
}
