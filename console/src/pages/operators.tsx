import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { post, remove } from '../api.ts'
import { type Operator, type OperatorToken, operators } from '../configuration.ts'
import { Act } from '../parts/act.tsx'
import { Field, Loading, Problem, SelectField } from '../parts/basics.tsx'
import { ConfigPage } from '../parts/config-page.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { CheckField, choicesIn } from '../parts/page-form.tsx'
import { type NewSecret, Secret } from '../parts/secret.tsx'
import { accounts, queryClient } from '../queries.ts'
import { useSignedIn } from '../rights.ts'
import { Time } from '../time.tsx'

const path = '/admin/v1/operators'
const readAgain = () => queryClient.invalidateQueries({ queryKey: ['operators'] })

type Open =
  | { readonly act: 'edit' | 'rotate' | 'delete'; readonly of: Operator }
  | { readonly act: 'end'; readonly of: Operator; readonly token: OperatorToken }

/** Who may use the console and the admin API by a token of their own. */
export function Operators() {
  const [creating, setCreating] = useState(false)
  const [open, setOpen] = useState<Open | null>(null)
  const [made, setMade] = useState<NewSecret | null>(null)
  const isOwn = useSignedIn()?.id === open?.of.sid
  const close = () => setOpen(null)
  const reveal = async (at: string, json: object) => {
    const { sid, token } = await post<Operator & { token: string }>(at, { json })
    await readAgain()
    setMade({ name: 'Token', sid, secret: token })
  }
  return (
    <ConfigPage
      title="Operators"
      acts={
        <Act ofAll className="primary" onClick={() => setCreating(true)}>
          New operator
        </Act>
      }
    >
      {() => (
        <>
          <List onOpen={setOpen} />
          {creating && (
            <FormDialog
              title="New operator"
              act="Create"
              done="The operator was created"
              onClose={() => setCreating(false)}
              run={({ name, expires }, given) =>
                reveal(path, { name, ...rightsIn(given), ...(expires && { date_expires: expires }) })
              }
            >
              <Field label="Name" name="name" required maxLength={64} />
              <Rights />
              <Field label="The token ends on" name="expires" type="date" hint="Empty: never" />
            </FormDialog>
          )}
          {open?.act === 'edit' && (
            <FormDialog
              title={`Edit ${open.of.name}`}
              act="Save"
              done="The operator was changed"
              onClose={close}
              run={async ({ name }, given) => {
                await post(`${path}/${open.of.sid}`, { json: { name, ...(isOwn ? {} : rightsIn(given)) } })
                await readAgain()
              }}
            >
              <Field label="Name" name="name" required maxLength={64} defaultValue={open.of.name} />
              {isOwn ? <p>Nobody changes what they may do themselves.</p> : <Rights of={open.of} />}
            </FormDialog>
          )}
          {open?.act === 'rotate' && (
            <FormDialog
              title={`Make a new token for ${open.of.name}?`}
              act="Make a new one"
              done="There is a new token"
              onClose={close}
              run={({ expires }, given) =>
                reveal(`${path}/${open.of.sid}/rotate`, {
                  end_old: given.has('end'),
                  ...(expires && { date_expires: expires }),
                })
              }
            >
              <p>
                Browsers are signed out everywhere. The old token stays valid until you end it, so that programs can change over.
              </p>
              <CheckField label="End the old token at once" name="end" checked={false} />
              <Field label="The new token ends on" name="expires" type="date" hint="Empty: never" />
            </FormDialog>
          )}
          {open?.act === 'end' && (
            <FormDialog
              title={`End the token ${open.token.id}?`}
              act="End"
              danger
              done="The token was ended"
              onClose={close}
              run={async () => {
                await remove(`${path}/${open.of.sid}/tokens/${open.token.id}`)
                await readAgain()
              }}
            >
              <p>It is refused from the next request on, and browsers that have signed in with it are signed out.</p>
            </FormDialog>
          )}
          {open?.act === 'delete' && (
            <FormDialog
              title={`Delete ${open.of.name}?`}
              act="Delete"
              danger
              done="The operator was deleted"
              onClose={close}
              run={async () => {
                await remove(`${path}/${open.of.sid}`)
                await readAgain()
              }}
            >
              <p>Their tokens and sessions end at once.</p>
            </FormDialog>
          )}
          {made && <Secret made={made} onClose={() => setMade(null)} />}
        </>
      )}
    </ConfigPage>
  )
}

function List({ onOpen }: { readonly onOpen: (open: Open) => void }) {
  const all = useQuery(operators)
  const who = useSignedIn()
  if (!all.data) {
    return all.error ? <Problem error={all.error} retry={() => void all.refetch()} /> : <Loading what="the operators" />
  }
  if (all.data.length === 0)
    return <p>None. Until there are, everybody who has the token of the installation may do everything.</p>
  return (
    <ul className="rows" aria-label="Operators">
      {all.data.map((one) => (
        <li key={one.sid} className="key">
          <div className="row">
            <span className="row-title">
              {one.name} <span className="badge">{one.role}</span>
            </span>
            <span className="acts">
              <Act ofAll aria-label={`Edit ${one.name}`} onClick={() => onOpen({ act: 'edit', of: one })}>
                Edit
              </Act>
              <Act ofAll aria-label={`New token for ${one.name}`} onClick={() => onOpen({ act: 'rotate', of: one })}>
                New token
              </Act>
              <Act
                ofAll
                className="danger"
                aria-label={`Delete ${one.name}`}
                disabled={one.sid === who?.id}
                title="Nobody deletes themselves."
                onClick={() => onOpen({ act: 'delete', of: one })}
              >
                Delete
              </Act>
            </span>
            <span className="row-note">
              {one.accounts === null ? 'all accounts' : `${one.accounts.length} account${one.accounts.length === 1 ? '' : 's'}`}
              {one.role === 'viewer' && (one.text ? ', sees texts' : ', sees no texts')}
            </span>
          </div>
          <ul className="plain">
            {one.tokens.map((token) => (
              <li key={token.id}>
                <code>plo_{token.id}_…</code>{' '}
                <small>
                  {token.date_used === null ? (
                    'never used'
                  ) : (
                    <>
                      used <Time at={token.date_used} />
                    </>
                  )}
                  {token.date_expires !== null && (
                    <>
                      , ends <Time at={token.date_expires} />
                    </>
                  )}
                </small>{' '}
                <Act
                  ofAll
                  className="quiet"
                  aria-label={`End the token ${token.id} of ${one.name}`}
                  onClick={() => onOpen({ act: 'end', of: one, token })}
                >
                  End
                </Act>
              </li>
            ))}
          </ul>
        </li>
      ))}
    </ul>
  )
}

const roles = {
  viewer: 'viewer: sees what there is',
  support: 'support: works in conversations',
  admin: 'admin: everything',
  auditor: 'auditor: the audit log',
} as const

function Rights({ of }: { readonly of?: Operator }) {
  const all = useQuery(accounts)
  return (
    <>
      <SelectField label="Role" name="role" defaultValue={of?.role ?? 'viewer'}>
        {Object.entries(roles).map(([role, text]) => (
          <option key={role} value={role}>
            {text}
          </option>
        ))}
      </SelectField>
      <CheckField label="A viewer sees what is written in messages" name="text" checked={of?.text ?? false} />
      <fieldset>
        <legend>Accounts; none chosen: all of them</legend>
        {all.data?.map(({ sid, friendly_name }) => (
          <CheckField
            key={sid}
            label={friendly_name || sid}
            name="account"
            value={sid}
            checked={of?.accounts?.includes(sid) ?? false}
          />
        ))}
      </fieldset>
    </>
  )
}

function rightsIn(given: FormData) {
  const chosen = choicesIn(given, 'account').filter((sid) => sid !== '')
  return { role: String(given.get('role')), text: given.has('text'), accounts: chosen.length === 0 ? null : chosen }
}
