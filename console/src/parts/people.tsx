import { type InfiniteData, type UseInfiniteQueryResult, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { type Form, type Participant, post, remove, type V1Page } from '../api.ts'
import { changedAttributes } from '../json.ts'
import { roles } from '../queries.ts'
import { useActing, useShown } from '../shown.tsx'
import { Act } from './act.tsx'
import { AttributesField } from './attributes-field.tsx'
import { Field, Loading, Problem } from './basics.tsx'
import { nameOf } from './composer.tsx'
import { CopyResource } from './copy-resource.tsx'
import { FormDialog } from './form-dialog.tsx'
import { RoleField } from './role-field.tsx'

interface PeopleProps {
  readonly members: readonly Participant[]
  /** What they are read by. */
  readonly list: UseInfiniteQueryResult<InfiniteData<V1Page<Participant>>>
}

/** Who is in the conversation, with their roles and how far they have read. */
export function People({ members, list: people }: PeopleProps) {
  const { account, service, state } = useShown()
  const { path, options } = useActing()
  const named = useQuery(roles(account, service))
  const [adding, setAdding] = useState(false)
  const [editing, setEditing] = useState<Participant | null>(null)
  const [leaving, setLeaving] = useState<Participant | null>(null)
  const roleOf = (sid: string | null) => named.data?.find((role) => role.sid === sid)?.friendly_name
  return (
    <details open>
      <summary>Participants {people.data && `(${members.length}${people.hasNextPage ? ' of more' : ''})`}</summary>
      <Problem error={people.error} retry={() => void people.refetch()} />
      {people.isPending && <Loading what="participants" />}
      {people.data && members.length === 0 && <p>Nobody is in this conversation yet.</p>}
      <ul className="plain people">
        {members.map((one) => (
          <li key={one.sid}>
            <div>
              <strong dir="auto" title={nameOf(one)}>
                {nameOf(one)}
              </strong>
              <small>
                {[
                  one.messaging_binding?.type ?? 'chat',
                  one.messaging_binding?.proxy_address && `by ${one.messaging_binding.proxy_address}`,
                  roleOf(one.role_sid),
                  one.last_read_message_index !== null && `has read up to #${one.last_read_message_index}`,
                ]
                  .filter(Boolean)
                  .join(' · ')}
              </small>
            </div>
            <Act
              needs="act"
              className="quiet"
              aria-label={`Edit ${nameOf(one)}`}
              disabled={state === 'closed'}
              onClick={() => setEditing(one)}
            >
              Edit
            </Act>
            <Act
              needs="act"
              className="quiet"
              aria-label={`Remove ${nameOf(one)}`}
              disabled={state === 'closed'}
              onClick={() => setLeaving(one)}
            >
              Remove
            </Act>
          </li>
        ))}
      </ul>
      {people.hasNextPage && (
        <button type="button" className="more" disabled={people.isFetching} onClick={() => void people.fetchNextPage()}>
          Load more participants
        </button>
      )}
      <Act needs="act" disabled={state === 'closed'} onClick={() => setAdding(true)}>
        Add a participant
      </Act>
      {adding && (
        <FormDialog
          title="Add a participant"
          act="Add"
          done="The participant was added"
          onClose={() => setAdding(false)}
          run={({ identity, address, proxy, role }) =>
            post(`${path}/Participants`, {
              ...options,
              form: {
                Identity: identity || undefined,
                'MessagingBinding.Address': address || undefined,
                'MessagingBinding.ProxyAddress': proxy || undefined,
                RoleSid: role || undefined,
              },
            })
          }
        >
          <p>Somebody who chats has an identity; somebody with a phone has an address, and writes to an address of yours.</p>
          <Field label="Identity" name="identity" maxLength={256} />
          <Field label="Address" name="address" placeholder="+15551234567" />
          <Field label="Your address" name="proxy" placeholder="+15557654321" />
          <RoleField account={account} service={service} type="conversation" standard="the default of the service" />
        </FormDialog>
      )}
      {editing && (
        <FormDialog
          title={`Edit ${nameOf(editing)}`}
          act="Save"
          done="The participant was changed"
          onClose={() => setEditing(null)}
          run={({ role, attributes }) =>
            post(`${path}/Participants/${editing.sid}`, {
              ...options,
              form: { RoleSid: role || undefined, Attributes: changedAttributes(attributes, editing.attributes) },
            })
          }
        >
          {editing.identity !== null && (
            <RoleField account={account} service={service} type="conversation" chosen={editing.role_sid} />
          )}
          <AttributesField of="participant" defaultValue={editing.attributes} />
          <div className="acts">
            <CopyResource
              account={account}
              path={`${path}/Participants/${editing.sid}`}
              resource={editing}
              makes={{ path: `${path}/Participants`, form: asForm(editing) }}
            />
          </div>
        </FormDialog>
      )}
      {leaving && (
        <FormDialog
          title={`Remove ${nameOf(leaving)}?`}
          act="Remove"
          danger
          done="The participant was removed"
          onClose={() => setLeaving(null)}
          run={() => remove(`${path}/Participants/${leaving.sid}`, options)}
        >
          <p>Their messages stay.</p>
        </FormDialog>
      )}
    </details>
  )
}

/** The parameters that make a participant like this one. */
function asForm({ identity, messaging_binding: binding, role_sid, attributes }: Participant): Form {
  return {
    Identity: identity ?? undefined,
    'MessagingBinding.Address': binding?.address,
    'MessagingBinding.ProxyAddress': binding?.proxy_address,
    RoleSid: role_sid ?? undefined,
    Attributes: attributes,
  }
}
