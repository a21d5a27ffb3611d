import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { get, postForFile, RefusedError, withQuery } from './api.ts'
import { accountPath } from './configuration.ts'

/** An erasure of a person; once it is done, the proof of it. */
export interface Erasure {
  readonly id: string
  readonly account_sid: string
  readonly status: 'waiting' | 'running' | 'failed' | 'done'
  readonly dry_run: boolean
  readonly messages: 'redact' | 'delete'
  readonly subject: 'identity' | 'address'
  readonly subject_hash: string
  readonly pseudonym: string
  readonly requested_by: string
  readonly reference: string | null
  readonly step: string | null
  readonly counts: Readonly<Record<string, number>>
  readonly storage: 'overwritten' | 'in use' | 'not overwritten' | null
  readonly date_created: string
  readonly date_started: string | null
  readonly failures: number
  readonly date_retry: string | null
  readonly date_finished: string | null
}

interface ErasurePage {
  readonly erasures: readonly Erasure[]
  readonly next_before: string | null
}

export interface ErasureFilters {
  readonly status?: string | undefined
  readonly dry_run?: string | undefined
}

/** How often one that is under way is asked for. No event tells of it: it would be of no use to anybody else. */
const pollMs = 1000

export const erasuresPath = (account: string) => `${accountPath(account)}/erasures`

export const erasures = (account: string, { status, dry_run }: ErasureFilters) =>
  infiniteQueryOptions({
    queryKey: ['erasures', account, { status, dry_run }],
    queryFn: ({ pageParam, signal }) =>
      get<ErasurePage>(withQuery(erasuresPath(account), { status, dry_run, before: pageParam, limit: 50 }), { signal }),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_before,
    staleTime: 0,
    // A list of several pages is not moved under the reader.
    refetchInterval: ({ state: { data } }) => (data?.pages.length === 1 && data.pages[0]?.erasures.some(isOpen) ? pollMs : false),
  })

export const erasure = (account: string, id: string) =>
  queryOptions({
    queryKey: ['erasures', account, 'one', id],
    queryFn: () => get<Erasure>(`${erasuresPath(account)}/${encodeURIComponent(id)}`),
    staleTime: 0,
    refetchInterval: ({ state: { data } }) => (data && isOpen(data) ? pollMs : false),
  })

function isOpen({ status }: Erasure): boolean {
  return status !== 'done'
}

/** Returns how many rows there are of all kinds; each row is counted as one of them. */
export function rowsOf({ counts }: Erasure): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

/** Who is meant: by an identity or an address. */
export type Named = { readonly identity: string } | { readonly address: string }

/** What there is of a person, and how many rows. Throws RefusedError when it is not complete. */
export async function disclosed(account: string, named: Named): Promise<{ file: Blob; rows: number }> {
  const file = await postForFile(`${accountPath(account)}/disclosures`, named)
  // The last line is short, whatever comes before it.
  const last = (await file.slice(-4096).text()).trimEnd().split('\n').at(-1) ?? ''
  const end = endIn(last)
  if (!end) throw new RefusedError(0, 'The file has no end, and is not complete. Try again.', null)
  return { file, rows: Object.values(end.counts).reduce((sum, count) => sum + count, 0) }
}

function endIn(line: string): { readonly counts: Readonly<Record<string, number>> } | null {
  try {
    const { kind, counts } = JSON.parse(line) as { kind?: unknown; counts: Record<string, number> }
    return kind === 'end' ? { counts } : null
  } catch {
    return null
  }
}
