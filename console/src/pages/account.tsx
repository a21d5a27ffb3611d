import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { post, remove } from '../api.ts'
import { type AccountJson, type ApiKey, account, accountPath, keys } from '../configuration.ts'
import { Act } from '../parts/act.tsx'
import { Field, Loading, Problem, Sid } from '../parts/basics.tsx'
import { ConfigPage } from '../parts/config-page.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { NewKey } from '../parts/new-key.tsx'
import { type NewSecret, Secret } from '../parts/secret.tsx'
import { queryClient } from '../queries.ts'
import { Dates, Time } from '../time.tsx'

/** One account: its status, its auth token and its API keys. */
export function OneAccount() {
  const [made, setMade] = useState<NewSecret | null>(null)
  return (
    <ConfigPage title="Account">
      {({ account: sid }) => (
        <>
          <Itself sid={sid} onSecret={setMade} />
          <Keys of={sid} onSecret={setMade} />
          {made && <Secret made={made} onClose={() => setMade(null)} />}
        </>
      )}
    </ConfigPage>
  )
}

type OnSecret = (made: NewSecret) => void

const readAgain = () => queryClient.invalidateQueries({ queryKey: ['accounts'] })

/** `of`: as it was when the dialog was opened. The dialog says and does what was read then, whatever becomes of the account meanwhile. */
interface Open {
  readonly act: 'rename' | 'suspend' | 'resume' | 'rotate' | 'delete'
  readonly of: AccountJson
}

function Itself({ sid, onSecret }: { readonly sid: string; readonly onSecret: OnSecret }) {
  const itself = useQuery(account(sid))
  const [open, setOpen] = useState<Open | null>(null)
  const navigate = useNavigate()
  if (!itself.data) return itself.error ? <Problem error={itself.error} /> : <Loading what="the account" />
  const { friendly_name, status, default_chat_service_sid, date_created } = itself.data
  const begin = (act: Open['act']) => setOpen({ act, of: itself.data })
  const close = () => setOpen(null)
  const path = accountPath(sid)
  const update = async (json: Partial<AccountJson>) => {
    await post(path, { json })
    await readAgain()
  }
  return (
    <section>
      <dl className="facts">
        <dt>Name</dt>
        <dd>{friendly_name}</dd>
        <dt>Status</dt>
        <dd>
          <span className={`badge state-${status === 'active' ? 'active' : 'inactive'}`}>{status}</span>
          {status === 'suspended' && ' Its requests are refused, and its conversations cannot be read.'}
        </dd>
        <dt>SID</dt>
        <dd>
          <Sid sid={sid} />
        </dd>
        <dt>Default service</dt>
        <dd>
          <Sid sid={default_chat_service_sid} />
        </dd>
        <Dates created={date_created} />
      </dl>
      <div className="acts">
        <Act onClick={() => begin('rename')}>Rename</Act>
        {status === 'active' ? (
          <Act onClick={() => begin('suspend')}>Suspend</Act>
        ) : (
          <Act onClick={() => begin('resume')}>Resume</Act>
        )}
        <Act onClick={() => begin('rotate')}>New auth token</Act>
        <CopyResource path={path} resource={itself.data} makes={{ path: '/admin/v1/accounts', json: { friendly_name } }} />
        <Act ofAll className="danger" onClick={() => begin('delete')}>
          Delete
        </Act>
      </div>
      {open?.act === 'rename' && (
        <FormDialog
          title="Rename the account"
          act="Rename"
          done="The account was renamed"
          onClose={close}
          run={({ name = '' }) => update({ friendly_name: name })}
        >
          <Field label="Name" name="name" defaultValue={open.of.friendly_name} maxLength={256} />
        </FormDialog>
      )}
      {open?.act === 'suspend' && (
        <FormDialog
          title="Suspend the account?"
          act="Suspend"
          danger
          done="The account was suspended"
          onClose={close}
          run={() => update({ status: 'suspended' })}
        >
          <p>Every request with its auth token or a key of it is refused, with 403, until it is resumed. Nothing is lost.</p>
        </FormDialog>
      )}
      {open?.act === 'resume' && (
        <FormDialog
          title="Resume the account?"
          act="Resume"
          done="The account is active again"
          onClose={close}
          run={() => update({ status: 'active' })}
        >
          <p>Its auth token and its keys work again.</p>
        </FormDialog>
      )}
      {open?.act === 'rotate' && (
        <FormDialog
          title="Make a new auth token?"
          act="Make a new one"
          danger
          done="There is a new auth token"
          onClose={close}
          run={async () => {
            const { auth_token } = await post<{ auth_token: string }>(`${path}/rotate`)
            onSecret({ name: 'Auth token', sid, secret: auth_token })
          }}
        >
          <p>The old one stops working at once, and webhooks are signed with the new one.</p>
        </FormDialog>
      )}
      {open?.act === 'delete' && (
        <FormDialog
          title={`Delete ${open.of.friendly_name || sid}?`}
          act="Delete"
          danger
          done="The account was deleted"
          onClose={close}
          run={async () => {
            await remove(path)
            await navigate({ to: '/accounts' })
            await readAgain()
          }}
        >
          <p>Everything in it goes with it: services, conversations, messages, files, users. This cannot be undone.</p>
          <Field label="The SID of the account, to be sure" name="sure" required pattern={sid} autoComplete="off" />
        </FormDialog>
      )}
    </section>
  )
}

function Keys({ of, onSecret }: { readonly of: string; readonly onSecret: OnSecret }) {
  const all = useQuery(keys(of))
  const [creating, setCreating] = useState(false)
  const [acting, setActing] = useState<{ readonly on: ApiKey; readonly act: 'rotate' | 'delete' } | null>(null)
  const path = `${accountPath(of)}/keys`
  const reveal = async (at: string, json?: object) => {
    const { sid, secret } = await post<{ sid: string; secret: string }>(at, { ...(json && { json }) })
    await readAgain()
    onSecret({ name: 'Secret', sid, secret })
  }
  return (
    <section>
      <h2>API keys</h2>
      <Problem error={all.error} retry={() => void all.refetch()} />
      {all.data?.length === 0 && <p>None. A key signs in as the account, and can be taken away alone.</p>}
      <ul className="rows" aria-label="API keys">
        {all.data?.map((key) => (
          <li key={key.sid} className="key">
            <div className="row">
              <span className="row-title">{key.friendly_name || key.sid}</span>
              <span className="acts">
                <Act
                  aria-label={`New secret for ${key.friendly_name || key.sid}`}
                  onClick={() => setActing({ on: key, act: 'rotate' })}
                >
                  New secret
                </Act>
                <Act
                  className="danger"
                  aria-label={`Delete ${key.friendly_name || key.sid}`}
                  onClick={() => setActing({ on: key, act: 'delete' })}
                >
                  Delete
                </Act>
              </span>
              <span className="row-note">
                {key.sid} · {key.type}
              </span>
              <span className="row-time">
                <Time at={key.date_created} />
              </span>
            </div>
            {key.policy && (
              <details>
                <summary>
                  May do {key.policy.allow.length} {key.policy.allow.length === 1 ? 'thing' : 'things'}
                </summary>
                <ul>
                  {key.policy.allow.map((permission) => (
                    <li key={permission}>
                      <code>{permission}</code>
                    </li>
                  ))}
                </ul>
              </details>
            )}
          </li>
        ))}
      </ul>
      <p>
        <Act onClick={() => setCreating(true)}>New key</Act>
      </p>
      {creating && <NewKey onClose={() => setCreating(false)} create={(key) => reveal(path, key)} />}
      {acting && (
        <FormDialog
          title={acting.act === 'delete' ? `Delete ${acting.on.friendly_name || acting.on.sid}?` : 'Make a new secret?'}
          act={acting.act === 'delete' ? 'Delete' : 'Make a new one'}
          danger
          done={acting.act === 'delete' ? 'The key was deleted' : 'There is a new secret'}
          onClose={() => setActing(null)}
          run={async () => {
            if (acting.act === 'rotate') return reveal(`${path}/${acting.on.sid}/rotate`)
            await remove(`${path}/${acting.on.sid}`)
            await readAgain()
          }}
        >
          <p>{acting.act === 'delete' ? 'It stops working at once.' : 'The old one stops working at once.'}</p>
        </FormDialog>
      )}
    </section>
  )
}
