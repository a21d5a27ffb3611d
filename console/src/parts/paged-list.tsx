import type { InfiniteData, UseInfiniteQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { Empty, Loading, Problem } from './basics.tsx'

interface PagedListProps {
  readonly list: UseInfiniteQueryResult<InfiniteData<unknown>>
  readonly name: string
  /** Of something else on the page. */
  readonly error: unknown
  /** What is said when the list has changed while several of its pages are shown. */
  readonly news: string
  /** What is said when nothing was found, and the next step. */
  readonly none: string
  readonly next: string
  /** Whether the last page ended because enough was looked at, not because it was full. */
  readonly stoppedEarly?: boolean | undefined
  /** The rows. */
  readonly children: readonly ReactNode[]
}

/** A list that is loaded page by page. */
export function PagedList({ list, name, error, news, none, next, stoppedEarly = false, children }: PagedListProps) {
  const isLong = (list.data?.pages.length ?? 0) > 1
  const reload = () => void list.refetch()
  return (
    <>
      {list.isStale && isLong && !list.isFetching && (
        <button type="button" className="news" onClick={reload}>
          {news}
        </button>
      )}
      <Problem error={list.error ?? error} retry={reload} />
      {list.isPending && <Loading what={name.toLowerCase()} />}
      {list.isSuccess && children.length === 0 && (
        <Empty title={none}>
          <p>{list.hasNextPage ? 'Only the latest were looked at so far.' : next}</p>
        </Empty>
      )}
      {children.length > 0 && (
        <ul className="rows" aria-label={name}>
          {children}
        </ul>
      )}
      {list.hasNextPage && stoppedEarly && children.length > 0 && (
        <p className="row-note">Only the latest were looked at so far: older ones may match as well.</p>
      )}
      {list.hasNextPage && (
        <button type="button" className="more" disabled={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
          {list.isFetchingNextPage ? 'Loading …' : stoppedEarly ? 'Look further' : 'Load more'}
        </button>
      )}
    </>
  )
}
