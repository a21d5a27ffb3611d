import { useInfiniteQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { post, remove } from '../api.ts'
import { type Credential, credentialPages, credentialsPath } from '../configuration.ts'
import { Act } from '../parts/act.tsx'
import { Field, SelectField, TextField } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { CheckField, flagIn } from '../parts/page-form.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { queryClient } from '../queries.ts'
import { Time } from '../time.tsx'

/** With what devices are notified. */
export function Credentials() {
  const [creating, setCreating] = useState(false)
  return (
    <ConfigPage
      title="Credentials"
      acts={
        <Act className="primary" onClick={() => setCreating(true)}>
          New credential
        </Act>
      }
    >
      {(scope) => (
        <>
          <p>
            With these the push services of Google and Apple are asked to notify devices. Secrets are stored sealed, and never
            shown.
          </p>
          <List {...scope} />
          {creating && <EditCredential account={scope.account} stored={null} onClose={() => setCreating(false)} />}
        </>
      )}
    </ConfigPage>
  )
}

function List({ account }: Scope) {
  const list = useInfiniteQuery(credentialPages(account))
  const [open, setOpen] = useState<{ readonly of: Credential; readonly act: 'edit' | 'delete' } | null>(null)
  const close = () => setOpen(null)
  return (
    <>
      <PagedList
        list={list}
        name="Credentials"
        error={null}
        news="There are more credentials: show them"
        none="No credentials"
        next="Without one, no device is notified."
      >
        {(list.data?.pages.flatMap((page) => page.items) ?? []).map((row) => (
          <li key={row.sid} className="key">
            <div className="row">
              <span className="row-title">{row.friendly_name || row.sid}</span>
              <span className="acts">
                <Act aria-label={`Edit ${row.friendly_name || row.sid}`} onClick={() => setOpen({ of: row, act: 'edit' })}>
                  Edit
                </Act>
                <Act
                  className="danger"
                  aria-label={`Delete ${row.friendly_name || row.sid}`}
                  onClick={() => setOpen({ of: row, act: 'delete' })}
                >
                  Delete
                </Act>
              </span>
              <span className="row-note">
                {[row.type, row.sandbox?.toLowerCase() === 'true' && 'sandbox', row.sid].filter(Boolean).join(' · ')}
              </span>
              <span className="row-time">
                <Time at={row.date_created} />
              </span>
            </div>
          </li>
        ))}
      </PagedList>
      {open?.act === 'edit' && <EditCredential account={account} stored={open.of} onClose={close} />}
      {open?.act === 'delete' && (
        <FormDialog
          title={`Delete ${open.of.friendly_name || open.of.sid}?`}
          act="Delete"
          danger
          done="The credential was deleted"
          onClose={close}
          run={async () => {
            await remove(`${credentialsPath}/${open.of.sid}`, { account })
            await queryClient.invalidateQueries({ queryKey: ['credentials', account] })
          }}
        >
          <p>The devices that are registered with it are forgotten. This cannot be undone.</p>
        </FormDialog>
      )}
    </>
  )
}

/** The secrets of each type, with what to put into them. */
const secretsOf = {
  fcm: [['Secret', 'Service account', 'The JSON file of the service account']],
  apn: [
    ['Certificate', 'Certificate', 'PEM'],
    ['PrivateKey', 'Private key', 'PEM, of the certificate; or a key for tokens'],
    ['Secret', 'Topic and key', 'JSON: topic, and for a key key_id and team_id'],
  ],
  gcm: [['ApiKey', 'API key', 'Stored, but Google takes it no more']],
} as const

interface EditCredentialProps {
  readonly account: string
  /** Null: a new one. */
  readonly stored: Credential | null
  readonly onClose: () => void
}

function EditCredential({ account, stored, onClose }: EditCredentialProps) {
  const [type, setType] = useState<Credential['type']>(stored?.type ?? 'fcm')
  const path = stored ? `${credentialsPath}/${stored.sid}` : credentialsPath
  return (
    <FormDialog
      title={stored ? `Edit ${stored.friendly_name || stored.sid}` : 'New credential'}
      act={stored ? 'Save' : 'Create'}
      done={stored ? 'The credential was changed' : 'The credential was created'}
      onClose={onClose}
      run={async (texts, given) => {
        const secrets = secretsOf[type].map(([name]) => [name, texts[name] || undefined])
        const form = {
          Type: stored ? undefined : type,
          FriendlyName: texts.FriendlyName,
          Sandbox: type === 'apn' ? flagIn(given, 'Sandbox') : undefined,
          ...Object.fromEntries(secrets),
        }
        await post(path, { account, form })
        await queryClient.invalidateQueries({ queryKey: ['credentials', account] })
      }}
    >
      {!stored && (
        <SelectField
          label="Type"
          name="Type"
          value={type}
          onChange={({ target: { value } }) => setType(value === 'apn' || value === 'gcm' ? value : 'fcm')}
        >
          <option value="fcm">fcm: Google, and browsers</option>
          <option value="apn">apn: Apple</option>
          <option value="gcm">gcm: Google, of old</option>
        </SelectField>
      )}
      <Field label="Friendly name" name="FriendlyName" maxLength={64} defaultValue={stored?.friendly_name ?? ''} />
      {type === 'apn' && (
        <CheckField
          label="Sandbox"
          name="Sandbox"
          checked={stored?.sandbox?.toLowerCase() === 'true'}
          hint="Apple's, for builds in development"
        />
      )}
      {secretsOf[type].map(([name, label, hint]) => (
        <TextField
          key={name}
          label={label}
          name={name}
          className="code"
          rows={3}
          spellCheck={false}
          autoComplete="off"
          hint={stored ? `${hint}. Empty: it stays as it is` : hint}
        />
      ))}
      {stored && (
        <div className="acts">
          <CopyResource account={account} path={path} resource={stored} />
        </div>
      )}
    </FormDialog>
  )
}
