import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { post, remove, servicePath } from '../api.ts'
import { type User, user, userConversations, userPath } from '../configuration.ts'
import { changedAttributes, indented } from '../json.ts'
import { nameAmong } from '../names.ts'
import { Act } from '../parts/act.tsx'
import { AttributesField } from '../parts/attributes-field.tsx'
import { Field, Loading, Problem, Sid, StateBadge } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { Online } from '../parts/online.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { RoleField } from '../parts/role-field.tsx'
import { queryClient, roles } from '../queries.ts'
import { useSetting } from '../settings.ts'
import { Dates } from '../time.tsx'

/** One user: who it is, and what is unread. */
export function OneUser() {
  return (
    <ConfigPage title="User">
      {(scope) => (
        <>
          <Link to="/services/$service/users" params={{ service: scope.service }} className="back">
            Users
          </Link>
          <Itself {...scope} />
        </>
      )}
    </ConfigPage>
  )
}

function Itself({ account, service }: Scope) {
  const { user: given = '' } = useParams({ strict: false })
  const itself = useQuery(user(account, service, given))
  const named = useQuery(roles(account, service))
  // The dialog keeps the user as it was when it was opened: what changes meanwhile is not saved over.
  const [open, setOpen] = useState<{ readonly act: 'edit' | 'delete'; readonly of: User } | null>(null)
  if (itself.error || !itself.data) {
    return itself.error ? <Problem error={itself.error} retry={() => void itself.refetch()} /> : <Loading what="the user" />
  }
  const { sid, identity, friendly_name, role_sid, attributes, date_created, date_updated } = itself.data
  const close = () => setOpen(null)
  return (
    <>
      <dl className="facts">
        <dt>Identity</dt>
        <dd>
          <strong>{identity}</strong> <Online user={itself.data} />
        </dd>
        <dt>Friendly name</dt>
        <dd>{friendly_name}</dd>
        <dt>Role</dt>
        <dd>{named.data?.find((role) => role.sid === role_sid)?.friendly_name ?? role_sid}</dd>
        <dt>SID</dt>
        <dd>
          <Sid sid={sid} />
        </dd>
        <Dates created={date_created} updated={date_updated} />
      </dl>
      <pre className="code">{indented(attributes)}</pre>
      <div className="acts">
        <Act needs="act" onClick={() => setOpen({ act: 'edit', of: itself.data })}>
          Edit
        </Act>
        <CopyResource
          account={account}
          path={userPath(service, sid)}
          resource={itself.data}
          makes={{
            path: `${servicePath(service)}/Users`,
            form: {
              Identity: identity,
              FriendlyName: friendly_name ?? undefined,
              RoleSid: role_sid,
              Attributes: attributes,
            },
          }}
        />
        <Act needs="act" className="danger" onClick={() => setOpen({ act: 'delete', of: itself.data })}>
          Delete
        </Act>
      </div>
      <h2>Conversations</h2>
      <Conversations account={account} service={service} sid={sid} />
      {open?.act === 'edit' && <Edit account={account} service={service} stored={open.of} given={given} onClose={close} />}
      {open?.act === 'delete' && <Delete account={account} service={service} stored={open.of} onClose={close} />}
    </>
  )
}

function Conversations({ account, service, sid }: Scope & { readonly sid: string }) {
  const list = useInfiniteQuery(userConversations(account, service, sid))
  const rows = list.data?.pages.flatMap((page) => page.items) ?? []
  return (
    <PagedList
      list={list}
      name="Conversations"
      error={null}
      news="There is new activity: show it"
      none="In no conversation"
      next="Add them to one on its page."
    >
      {rows.map((row) => (
        <li key={row.participant_sid}>
          <Link to="/services/$service/conversations/$sid" params={{ service, sid: row.conversation_sid }} className="row">
            <span className="row-title" dir="auto">
              {nameAmong(row.friendly_name, row.unique_name, row.conversation_sid)}
            </span>
            <StateBadge state={row.conversation_state} />
            <span className="row-note">
              {row.last_read_message_index === null ? 'nothing read yet' : `has read up to #${row.last_read_message_index}`}
              {row.notification_level === 'muted' && ' · muted'}
            </span>
            <span className="row-time">
              {row.unread_messages_count === null ? 'not counted' : `${row.unread_messages_count.toLocaleString('en')} unread`}
            </span>
          </Link>
        </li>
      ))}
    </PagedList>
  )
}

interface OfUser extends Scope {
  readonly stored: User
  readonly onClose: () => void
}

function Edit({ account, service, stored, given, onClose }: OfUser & { readonly given: string }) {
  const [webhooks] = useSetting('webhooks')
  return (
    <FormDialog
      title={`Edit ${stored.identity}`}
      act="Save"
      done="The user was changed"
      onClose={onClose}
      run={async ({ name, role, attributes }) => {
        const form = { FriendlyName: name, RoleSid: role, Attributes: changedAttributes(attributes, stored.attributes) }
        await post(userPath(service, stored.sid), { account, webhooks: webhooks === 'yes', form })
        await queryClient.invalidateQueries({ queryKey: ['user', given] })
      }}
    >
      <Field label="Friendly name" name="name" defaultValue={stored.friendly_name ?? ''} maxLength={256} />
      <RoleField account={account} service={service} type="service" chosen={stored.role_sid} />
      <AttributesField of="user" defaultValue={stored.attributes} />
    </FormDialog>
  )
}

function Delete({ account, service, stored: { sid, identity }, onClose }: OfUser) {
  const navigate = useNavigate()
  return (
    <FormDialog
      title={`Delete ${identity}?`}
      act="Delete"
      danger
      done="The user was deleted"
      onClose={onClose}
      run={async () => {
        await remove(userPath(service, sid), { account })
        await navigate({ to: '/services/$service/users', params: { service } })
        await queryClient.invalidateQueries({ queryKey: ['users', account] })
      }}
    >
      <p>They leave their conversations, and their devices are forgotten. Their messages stay. This cannot be undone.</p>
    </FormDialog>
  )
}
