import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useState } from 'react'
import { operators } from '../configuration.ts'
import { type Erasure, erasure, erasures, erasuresPath } from '../erasures.ts'
import { Act } from '../parts/act.tsx'
import { Loading, Problem, SelectField, Sid, StatusBadge } from '../parts/basics.tsx'
import { ConfigPage } from '../parts/config-page.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { Counts, Disclosing, Erasing, Progress, rowsInWords } from '../parts/erasing.tsx'
import { FilterForm } from '../parts/filter-form.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { useRefusal } from '../rights.ts'
import { Time } from '../time.tsx'

const listRoute = getRouteApi('/accounts/$account/privacy')
const oneRoute = getRouteApi('/accounts/$account/privacy/$erasure')

/** What an account has erased of persons, and the forms that erase and disclose one. The person is never in the URL. */
export function Privacy() {
  const [open, setOpen] = useState<'erase' | 'disclose' | null>(null)
  const close = () => setOpen(null)
  return (
    <ConfigPage
      title="Privacy"
      acts={
        <>
          <Act onClick={() => setOpen('disclose')}>Disclose a person</Act>
          <Act className="primary" onClick={() => setOpen('erase')}>
            New erasure
          </Act>
        </>
      }
    >
      {({ account }) => (
        <>
          <p>Erasures of persons of this account. What is kept of one does not say who it was.</p>
          <List account={account} />
          {open === 'erase' && <Erasing account={account} onClose={close} />}
          {open === 'disclose' && <Disclosing account={account} onClose={close} />}
        </>
      )}
    </ConfigPage>
  )
}

function List({ account }: { readonly account: string }) {
  const filters = listRoute.useSearch()
  const navigate = listRoute.useNavigate()
  const list = useInfiniteQuery(erasures(account, filters))
  const nameOf = useOperatorNames()
  const rows = list.data?.pages.flatMap((page) => page.erasures) ?? []
  const filtered = Object.values(filters).some((value) => value !== undefined)
  const submit = (event: { readonly currentTarget: HTMLSelectElement }) => event.currentTarget.form?.requestSubmit()
  return (
    <>
      <FilterForm of={filters} filtered={filtered} onApply={(search) => void navigate({ search })}>
        <SelectField label="Status" name="status" defaultValue={filters.status ?? ''} onChange={submit}>
          <option value="">any</option>
          <option>waiting</option>
          <option>running</option>
          <option>failed</option>
          <option>done</option>
        </SelectField>
        <SelectField label="Kind" name="dry_run" defaultValue={filters.dry_run ?? ''} onChange={submit}>
          <option value="">any</option>
          <option value="false">erasures</option>
          <option value="true">dry runs</option>
        </SelectField>
      </FilterForm>
      <PagedList
        list={list}
        name="Erasures"
        error={null}
        news="There may be newer erasures: show them"
        none={filtered ? 'No erasure matches' : 'Nobody has been erased'}
        next={
          filtered
            ? 'Clear the filters.'
            : 'New erasure counts what there is of a person first, and erases nothing before you confirm it.'
        }
      >
        {rows.map((row) => (
          <li key={row.id}>
            <Link to="/accounts/$account/privacy/$erasure" params={{ account, erasure: row.id }} className="row">
              <span className="row-title">
                {kindOf(row)}
                {row.reference !== null && `: ${row.reference}`}
              </span>
              <StatusBadge status={row.status} />
              <span className="row-note">
                <Progress of={row} /> · by {nameOf(row.requested_by)}
              </span>
              <span className="row-time">
                <Time at={row.date_created} />
              </span>
            </Link>
          </li>
        ))}
      </PagedList>
    </>
  )
}

function kindOf({ dry_run }: Erasure): string {
  return dry_run ? 'Dry run' : 'Erasure'
}

/** Returns the name of an operator who is still there, for those who may see operators; else what is stored. */
function useOperatorNames(): (requested_by: string) => string {
  const enabled = useRefusal('manage', true) === null
  const all = useQuery({ ...operators, enabled })
  return (requested_by) => all.data?.find(({ sid }) => sid === requested_by)?.name ?? requested_by
}

/** One erasure: how far it is, and the proof of it. */
export function OneErasure() {
  const { erasure: id } = oneRoute.useParams()
  return <ConfigPage title="Erasure">{({ account }) => <Itself account={account} id={id} />}</ConfigPage>
}

const storages = {
  overwritten: 'overwritten: what was deleted is zeros in the files of the database',
  'in use': 'in use: another program reads the file of the database; what is left is overwritten after it has ended',
  'not overwritten': 'not overwritten: PostgreSQL has it in its files until the room is used again',
} as const

function Itself({ account, id }: { readonly account: string; readonly id: string }) {
  const one = useQuery(erasure(account, id))
  const nameOf = useOperatorNames()
  const row = one.data
  if (!row) return one.isPending ? <Loading what="the erasure" /> : <Problem error={one.error} retry={() => void one.refetch()} />
  const requester = nameOf(row.requested_by)
  return (
    <>
      <p role="status">
        {kindOf(row)} <StatusBadge status={row.status} /> <Progress of={row} />
      </p>
      {row.status === 'failed' && <p>The log of the server says why. It goes on where it was.</p>}
      <dl className="facts">
        <dt>Id</dt>
        <dd>
          <Sid sid={row.id} />
        </dd>
        {row.reference !== null && (
          <>
            <dt>Reference</dt>
            <dd>{row.reference}</dd>
          </>
        )}
        <dt>Requested by</dt>
        <dd>{requester === row.requested_by ? requester : `${requester}, ${row.requested_by}`}</dd>
        <dt>Person</dt>
        <dd>{`named by ${row.subject === 'identity' ? 'an identity' : 'an address'}`}</dd>
        <dt>Keyed hash</dt>
        <dd>
          <code>{row.subject_hash}</code>
        </dd>
        <dt>Messages</dt>
        <dd>{row.messages === 'delete' ? 'deleted' : `redacted; their author is ${row.pseudonym}`}</dd>
        {row.storage !== null && (
          <>
            <dt>Storage</dt>
            <dd>{storages[row.storage]}</dd>
          </>
        )}
        <When name="Created" at={row.date_created} />
        <When name="Started" at={row.date_started} />
        <When name="Finished" at={row.date_finished} />
      </dl>
      <section>
        <h2>{row.dry_run ? 'What would be erased' : 'What was erased'}</h2>
        <Counts of={row} />
        {row.dry_run && row.status === 'done' && <p>{`${rowsInWords(row)} when it was counted. Nothing was erased.`}</p>}
      </section>
      <div className="acts">
        <CopyResource path={`${erasuresPath(account)}/${row.id}`} resource={row} />
        <Link className="button" to="/accounts/$account/privacy" params={{ account }} search={{}}>
          All erasures
        </Link>
      </div>
    </>
  )
}

function When({ name, at }: { readonly name: string; readonly at: string | null }) {
  if (at === null) return null
  return (
    <>
      <dt>{name}</dt>
      <dd>
        <Time at={at} />
      </dd>
    </>
  )
}
