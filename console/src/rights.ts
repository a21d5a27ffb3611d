import { useQuery } from '@tanstack/react-query'
import type { Right, SignedIn } from './api.ts'
import { session } from './queries.ts'

/** Returns who is signed in; pages are shown to nobody else. */
export function useSignedIn(): SignedIn | null {
  return useQuery(session).data?.operator ?? null
}

/** Whether who is signed in has a right. */
export function useMay(right: Right): boolean {
  return useSignedIn()?.rights.includes(right) ?? false
}

const words: Readonly<Record<Right, string>> = {
  read: 'see this',
  text: 'see what is written in messages',
  act: 'do this',
  manage: 'change this',
  audit: 'see the audit log',
}

/**
 * Returns why who is signed in may not do something, as a sentence; null when they may. `ofAll`: it is about the whole installation.
 * Only a help: the server refuses it, whatever the page shows.
 */
export function useRefusal(right: Right, ofAll = false): string | null {
  const who = useSignedIn()
  if (who === null) return null
  if (!who.rights.includes(right)) return `Your role ${who.role} may not ${words[right]}.`
  return ofAll && who.accounts !== null ? 'This is for operators of all accounts.' : null
}
