import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { useState } from 'react'
import { remove } from '../api.ts'
import { type Binding, bindingPages, bindingsPath } from '../configuration.ts'
import { Act } from '../parts/act.tsx'
import { copy, Field, SelectField } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { FilterForm } from '../parts/filter-form.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { queryClient } from '../queries.ts'
import { Time } from '../time.tsx'

const route = getRouteApi('/services/$service/bindings')

/** The devices that are notified. Apps register them; here they are looked at and forgotten. */
export function Bindings() {
  const filters = route.useSearch()
  return <ConfigPage title="Bindings">{(scope) => <List key={JSON.stringify(filters)} {...scope} />}</ConfigPage>
}

function List({ account, service }: Scope) {
  const filters = route.useSearch()
  const navigate = route.useNavigate()
  const list = useInfiniteQuery(bindingPages(account, service, filters))
  const [deleting, setDeleting] = useState<Binding | null>(null)
  const filtered = Object.values(filters).some((value) => value !== undefined)
  return (
    <>
      <p>The devices of users that are notified. An app registers its own with a client SDK.</p>
      <FilterForm of={filters} filtered={filtered} onApply={(search) => void navigate({ search })}>
        <Field label="Identity" name="identity" defaultValue={filters.identity} placeholder="the whole identity" />
        <SelectField
          label="Type"
          name="type"
          defaultValue={filters.type ?? ''}
          onChange={(event) => event.currentTarget.form?.requestSubmit()}
        >
          <option value="">any</option>
          <option>fcm</option>
          <option>apn</option>
          <option>gcm</option>
        </SelectField>
      </FilterForm>
      <PagedList
        list={list}
        name="Bindings"
        error={null}
        news="There are more bindings: show them"
        none={filtered ? 'No binding matches' : 'No device is registered'}
        next={filtered ? 'Clear the filters.' : 'Devices register with a credential of the account.'}
      >
        {(list.data?.pages.flatMap((page) => page.items) ?? []).map((row) => (
          <li key={row.sid} className="key">
            <div className="row">
              <span className="row-title">{row.identity}</span>
              <span className="acts">
                <button
                  type="button"
                  aria-label={`Copy ${row.sid}`}
                  onClick={() => copy(JSON.stringify(row, null, 2), 'The resource')}
                >
                  Copy as JSON
                </button>
                <Act className="danger" aria-label={`Delete ${row.sid}`} onClick={() => setDeleting(row)}>
                  Delete
                </Act>
              </span>
              <span className="row-note">{[row.binding_type, row.endpoint, ...row.message_types].join(' · ')}</span>
              <span className="row-time">
                <Time at={row.date_created} />
              </span>
            </div>
          </li>
        ))}
      </PagedList>
      {deleting && (
        <FormDialog
          title={`Forget a device of ${deleting.identity}?`}
          act="Delete"
          danger
          done="The binding was deleted"
          onClose={() => setDeleting(null)}
          run={async () => {
            await remove(`${bindingsPath(service)}/${deleting.sid}`, { account })
            await queryClient.invalidateQueries({ queryKey: ['bindings', account] })
          }}
        >
          <p>It is notified no more until its app registers it again.</p>
        </FormDialog>
      )}
    </>
  )
}
