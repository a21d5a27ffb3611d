import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { useAct } from '../act.ts'
import { type AuditEntry, auditEntries, verifyAudit } from '../configuration.ts'
import { Field, Problem, SelectField, Sid, StatusBadge } from '../parts/basics.tsx'
import { ConfigPage } from '../parts/config-page.tsx'
import { FilterForm } from '../parts/filter-form.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { Time } from '../time.tsx'

const route = getRouteApi('/audit')

/** What operators have done, newest first. What is looked for is in the URL. */
export function Audit() {
  const verify = useAct({ mutationFn: verifyAudit })
  return (
    <ConfigPage
      title="Audit log"
      acts={
        <button type="button" disabled={verify.isPending} onClick={() => verify.mutate()}>
          {verify.isPending ? 'Verifying …' : 'Verify'}
        </button>
      }
    >
      <Problem error={verify.error} />
      {verify.data && (
        <p className={verify.data.ok ? '' : 'invalid'} role="status">
          {`${verify.data.ok ? 'All is well' : 'The log is not as it was written'}: ${verify.data.finding}.`}
        </p>
      )}
      <Entries />
    </ConfigPage>
  )
}

function Entries() {
  const filters = route.useSearch()
  const navigate = route.useNavigate()
  const list = useInfiniteQuery(auditEntries(filters))
  const rows = list.data?.pages.flatMap((page) => page.entries) ?? []
  const filtered = Object.values(filters).some((value) => value !== undefined)
  return (
    <>
      <FilterForm of={filters} filtered={filtered} onApply={(search) => void navigate({ search })}>
        <SelectField
          label="Outcome"
          name="outcome"
          defaultValue={filters.outcome ?? ''}
          onChange={({ currentTarget: { form } }) => form?.requestSubmit()}
        >
          <option value="">any</option>
          <option>success</option>
          <option>refused</option>
          <option>failed</option>
        </SelectField>
        <Field label="Action" name="action" defaultValue={filters.action} placeholder="api_key.created" maxLength={256} />
        <Field label="Actor" name="actor" defaultValue={filters.actor} placeholder="operator" maxLength={256} />
        <Field label="Account" name="account" defaultValue={filters.account} placeholder="AC…" maxLength={256} />
        <Field label="Target" name="target" defaultValue={filters.target} placeholder="SK…, CH…" maxLength={256} />
        <Field label="From" name="from" defaultValue={filters.from} placeholder="2030-01-01" maxLength={256} />
        <Field label="To" name="to" defaultValue={filters.to} placeholder="2030-01-31" maxLength={256} />
      </FilterForm>
      <PagedList
        list={list}
        name="Entries"
        error={null}
        news="There are newer entries: show them"
        none={filtered ? 'No entry matches' : 'Nothing has been done yet'}
        next="Clear the filters. Entries stay for PARLEY_AUDIT_LOG_DAYS."
      >
        {rows.map((entry) => (
          <li key={entry.seq}>
            <Entry entry={entry} />
          </li>
        ))}
      </PagedList>
    </>
  )
}

function Entry({ entry }: { readonly entry: AuditEntry }) {
  const { action, actor, from, outcome, target, count } = entry
  return (
    <details className="entry">
      <summary className="row">
        <span className="row-title">{action}</span>
        <StatusBadge status={outcome} />
        <span className="row-note">
          {[actor.name, from.address, from.interface, target.sid, count > 1 && `${count} times`].filter(Boolean).join(' · ')}
        </span>
        <span className="row-time">
          <Time at={entry.at} />
        </span>
      </summary>
      <dl className="facts">
        <dt>Entry</dt>
        <dd>
          {entry.seq}, <Sid sid={entry.id} />
        </dd>
        <dt>Actor</dt>
        <dd>{`${actor.type} ${actor.id}`}</dd>
        <dt>From</dt>
        <dd>{[from.address, from.agent].filter(Boolean).join(', ') || from.interface}</dd>
        <Fact name="Target" value={target.sid === null ? target.type : `${target.type ?? ''} ${target.sid}`} />
        <Fact name="Account" value={entry.account_sid} />
        <Fact name="Code" value={entry.code} />
        <Fact name="Before" value={entry.before && JSON.stringify(entry.before)} />
        <Fact name="After" value={entry.after && JSON.stringify(entry.after)} />
        <Fact name="Request" value={entry.request_id} />
        <Fact name="Node" value={`${entry.node}, version ${entry.version}`} />
        <Fact name="Hash" value={entry.hash} />
      </dl>
    </details>
  )
}

function Fact({ name, value }: { readonly name: string; readonly value: string | number | null }) {
  if (value === null) return null
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  )
}
