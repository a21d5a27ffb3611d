import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import type { SearchHit } from '../api.ts'
import { isolated, nameAmong } from '../names.ts'
import { Empty, Field, Problem, SelectField } from '../parts/basics.tsx'
import { FilterForm } from '../parts/filter-form.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { accounts, found, type SearchFilters, server } from '../queries.ts'
import { useMay } from '../rights.ts'
import { Time } from '../time.tsx'

const route = getRouteApi('/search')

/** Each kind of what is found, as it is called. */
const groups = [
  ['conversation', 'Conversations'],
  ['person', 'People'],
  ['message', 'Messages'],
] as const

/** What was found in all accounts. What is looked for is in the URL. */
export function Search() {
  const mayRead = useMay('text')
  const shown = groups.filter(([type]) => type !== 'message' || mayRead)
  const filters = route.useSearch()
  const navigate = route.useNavigate()
  const all = useQuery(accounts)
  const apply = ({ where, ...search }: Readonly<Record<string, string>>) => {
    void navigate({
      search: {
        ...search,
        // What is chosen is a service or an account, by its SID.
        ...(where !== undefined && { [where.startsWith('IS') ? 'service' : 'account']: where }),
      },
    })
  }
  const kind = groups.find(([type]) => type === filters.type)
  const chosen = filters.service ?? filters.account ?? ''
  const places = [
    ['', 'all accounts'],
    ...(all.data ?? []).map(({ sid, friendly_name }) => [sid, friendly_name || sid]),
    ...(filters.service ? [[filters.service, filters.service]] : []),
  ]
  return (
    <main>
      <header className="page-header">
        <h1>Search</h1>
      </header>
      <FilterForm of={[filters, places.length]} act="Search" onApply={apply}>
        <Field label="Words" name="q" defaultValue={filters.q} placeholder="name, number, text" maxLength={256} required />
        <SelectField
          label="Kind"
          name="type"
          defaultValue={filters.type ?? ''}
          onChange={(event) => event.currentTarget.form?.requestSubmit()}
        >
          <option value="">all</option>
          {shown.map(([type, name]) => (
            <option key={type} value={type}>
              {name.toLowerCase()}
            </option>
          ))}
        </SelectField>
        <SelectField
          label="Where"
          name="where"
          defaultValue={chosen}
          onChange={(event) => event.currentTarget.form?.requestSubmit()}
        >
          {places.map(([sid, name]) => (
            <option key={sid} value={sid}>
              {name}
            </option>
          ))}
        </SelectField>
      </FilterForm>
      {filters.q === undefined ? (
        <Empty title="What do you look for?">
          <p>Names, identities, numbers, mail addresses and words of messages are found in all accounts.</p>
        </Empty>
      ) : kind ? (
        <Group key={JSON.stringify(filters)} filters={filters} name={kind[1]} size={50} />
      ) : (
        shown.map(([type, name]) => (
          <Group key={JSON.stringify({ ...filters, type })} filters={{ ...filters, type }} name={name} size={5} isPart />
        ))
      )}
    </main>
  )
}

interface GroupProps {
  readonly filters: SearchFilters
  readonly name: string
  readonly size: number
  /** One of several: the first hits, and where the others are. */
  readonly isPart?: boolean
}

function Group({ filters, name, size, isPart = false }: GroupProps) {
  const list = useInfiniteQuery(found(filters, size))
  const [first] = list.data?.pages ?? []
  const hits = list.data?.pages.flatMap((page) => page.hits) ?? []
  const rows = hits.map((hit) => <Hit key={hit.sid} hit={hit} />)
  const count = first && `${first.total.toLocaleString('en')}${first.total_capped ? '+' : ''}`
  return (
    <section aria-label={name}>
      <h2>
        {name} {count !== undefined && <span className="count">{count}</span>}
      </h2>
      {first && !first.complete && <p className="loading">Older entries are still being added to the index.</p>}
      {isPart && list.isSuccess ? (
        <>
          {rows.length === 0 && <p className="row-note">None</p>}
          {rows.length > 0 && (
            <ul className="rows" aria-label={name}>
              {rows}
            </ul>
          )}
          {list.hasNextPage && (
            <p>
              <Link to="/search" search={filters}>
                All {name.toLowerCase()}
              </Link>
            </p>
          )}
        </>
      ) : isPart && list.error ? (
        <Problem error={list.error} retry={() => void list.refetch()} />
      ) : (
        <PagedList
          list={list}
          name={name}
          error={null}
          news="There is more: show it"
          none="Nothing was found"
          next="All words have to be there. The last one may be the beginning of a word."
        >
          {rows}
        </PagedList>
      )}
    </section>
  )
}

function Hit({ hit }: { readonly hit: SearchHit }) {
  const shown = (
    <>
      <span className="row-title" dir="auto">
        {titleOf(hit)}
      </span>
      <span className="row-time">
        <Time at={hit.date_created} />
      </span>
      <span className="snippet" dir="auto">
        {hit.snippet.map(({ text, match }, i) =>
          // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of a text have no other name
          match ? <mark key={i}>{text}</mark> : <span key={i}>{text}</span>,
        )}
      </span>
      <AccountName sid={hit.account_sid} />
    </>
  )
  const { service_sid: service, conversation_sid: sid } = hit
  return (
    <li>
      {sid === null ? (
        <Link to="/services/$service/conversations" params={{ service }} search={{ identity: hit.name ?? '' }} className="row">
          {shown}
        </Link>
      ) : (
        <Link
          to="/services/$service/conversations/$sid"
          params={{ service, sid }}
          search={hit.type === 'message' ? { at: hit.sid } : {}}
          className="row"
        >
          {shown}
        </Link>
      )}
    </li>
  )
}

function titleOf({ type, sid, name, conversation_name, conversation_sid }: SearchHit): string {
  if (type === 'conversation') return nameAmong(conversation_name, sid)
  if (type === 'user') return `${isolated(name ?? '')}, a user`
  return `${isolated(name ?? '')} in ${isolated(nameAmong(conversation_name, conversation_sid ?? ''))}`
}

/** Where it is, unless in the first account. */
function AccountName({ sid }: { readonly sid: string }) {
  const info = useQuery(server)
  const all = useQuery(accounts)
  if (sid === info.data?.first_account_sid) return null
  return <span className="row-note">{all.data?.find((account) => account.sid === sid)?.friendly_name || sid}</span>
}
