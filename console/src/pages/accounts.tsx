import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { post } from '../api.ts'
import { Act } from '../parts/act.tsx'
import { Empty, Field, Loading, Problem } from '../parts/basics.tsx'
import { ConfigPage } from '../parts/config-page.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { type NewSecret, Secret } from '../parts/secret.tsx'
import { accounts, queryClient } from '../queries.ts'

/** All accounts of the installation. */
export function Accounts() {
  const [creating, setCreating] = useState(false)
  const [made, setMade] = useState<NewSecret | null>(null)
  return (
    <ConfigPage
      title="Accounts"
      acts={
        <Act ofAll className="primary" onClick={() => setCreating(true)}>
          New account
        </Act>
      }
    >
      {() => (
        <>
          <List />
          {creating && (
            <FormDialog
              title="New account"
              act="Create"
              done="The account was created"
              onClose={() => setCreating(false)}
              run={async ({ name }) => {
                const json = { friendly_name: name }
                const { sid, auth_token } = await post<{ sid: string; auth_token: string }>('/admin/v1/accounts', { json })
                await queryClient.invalidateQueries({ queryKey: ['accounts'] })
                setMade({ name: 'Auth token', sid, secret: auth_token })
              }}
            >
              <p>A tenant of its own, with a default service. It knows nothing of other accounts.</p>
              <Field label="Name" name="name" maxLength={256} />
            </FormDialog>
          )}
          {made && <Secret made={made} onClose={() => setMade(null)} />}
        </>
      )}
    </ConfigPage>
  )
}

function List() {
  const all = useQuery({ ...accounts, staleTime: 0 })
  if (all.error) return <Problem error={all.error} retry={() => void all.refetch()} />
  if (!all.data) return <Loading what="accounts" />
  if (all.data.length === 0) return <Empty title="There is no account" />
  return (
    <ul className="rows" aria-label="Accounts">
      {all.data.map(({ sid, friendly_name, status }) => (
        <li key={sid}>
          <Link to="/accounts/$account" params={{ account: sid }} className="row">
            <span className="row-title">{friendly_name || sid}</span>
            <span className={`badge state-${status === 'active' ? 'active' : 'inactive'}`}>{status}</span>
            <span className="row-note">{sid}</span>
          </Link>
        </li>
      ))}
    </ul>
  )
}
