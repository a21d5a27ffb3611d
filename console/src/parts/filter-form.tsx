import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { filledTextsOf } from './basics.tsx'

interface FilterFormProps {
  /** What is shown in it, as the URL has it: when that changes, so does the form. */
  readonly of: unknown
  readonly act?: string
  /** While it cannot be asked again. */
  readonly busy?: boolean
  /** Whether anything is filtered, which is undone by the same page without its search parameters. */
  readonly filtered?: boolean
  /** `texts`: of the fields that are not empty. */
  readonly onApply: (texts: Readonly<Record<string, string>>) => void
  readonly children: ReactNode
}

/** What narrows a list down. */
export function FilterForm({ of, act = 'Filter', busy = false, filtered = false, onApply, children }: FilterFormProps) {
  return (
    <search>
      <form
        className="filters"
        key={JSON.stringify(of)}
        onSubmit={(event) => {
          event.preventDefault()
          onApply(filledTextsOf(event.currentTarget))
        }}
      >
        {children}
        <div className="filter-acts">
          <button type="submit" disabled={busy}>
            {act}
          </button>
          {filtered && (
            <Link className="button" to="." search={{}}>
              Clear
            </Link>
          )}
        </div>
      </form>
    </search>
  )
}
