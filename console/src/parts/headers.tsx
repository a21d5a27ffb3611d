import type { Header } from '../api.ts'

/** Headers of a request or response, those of one name together. */
export function Headers({ headers }: { readonly headers: readonly Header[] }) {
  return (
    <dl className="facts params">
      {[...new Set(headers.map(({ name }) => name))].map((name) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{headers.flatMap((header) => (header.name === name ? [header.value] : [])).join('\n')}</dd>
        </div>
      ))}
    </dl>
  )
}
