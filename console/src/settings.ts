import { useSyncExternalStore } from 'react'

/** What somebody has chosen for this browser, with the default first. */
const choices = {
  theme: ['system', 'light', 'dark'],
  time: ['relative', 'absolute'],
  zone: ['local', 'utc'],
  webhooks: ['yes', 'no'],
} as const

export type Name = keyof typeof choices
export type Choice<N extends Name> = (typeof choices)[N][number]

const listeners = new Set<() => void>()

function read<N extends Name>(name: N): Choice<N> {
  const all: readonly Choice<N>[] = choices[name]
  const stored = localStorage.getItem(`parley.${name}`)
  return all.find((choice) => choice === stored) ?? (choices[name][0] as Choice<N>)
}

export function useSetting<N extends Name>(name: N): [Choice<N>, (choice: Choice<N>) => void] {
  const value = useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      addEventListener('storage', listener)
      return () => {
        listeners.delete(listener)
        removeEventListener('storage', listener)
      }
    },
    () => read(name),
  )
  const set = (choice: Choice<N>) => {
    localStorage.setItem(`parley.${name}`, choice)
    if (name === 'theme') applyTheme()
    for (const listener of listeners) listener()
  }
  return [value, set]
}

/** Of the page as a whole: style sheets do the rest. */
export function applyTheme(): void {
  document.documentElement.dataset.theme = read('theme')
}
