import { useInfiniteQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { scopedEventTypes } from '../../../src/events/names.ts'
import { type Form, post, remove } from '../api.ts'
import { type Address, addressesPath, addressPages } from '../configuration.ts'
import { Act } from '../parts/act.tsx'
import { Field, SelectField } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { PostActionFilters } from '../parts/event-filters.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { CheckField, choicesIn, flagIn, textIn } from '../parts/page-form.tsx'
import { PagedList } from '../parts/paged-list.tsx'
import { queryClient } from '../queries.ts'

/** What happens when somebody writes to an address of the account. */
export function Addresses() {
  const [creating, setCreating] = useState(false)
  return (
    <ConfigPage
      title="Addresses"
      acts={
        <Act className="primary" onClick={() => setCreating(true)}>
          New address
        </Act>
      }
    >
      {(scope) => (
        <>
          <p>What a message to an address of yours does when it belongs to no conversation.</p>
          <List {...scope} />
          {creating && <EditAddress account={scope.account} stored={null} onClose={() => setCreating(false)} />}
        </>
      )}
    </ConfigPage>
  )
}

function List({ account }: Scope) {
  const list = useInfiniteQuery(addressPages(account))
  const [open, setOpen] = useState<{ readonly of: Address; readonly act: 'edit' | 'delete' } | null>(null)
  const close = () => setOpen(null)
  return (
    <>
      <PagedList
        list={list}
        name="Addresses"
        error={null}
        news="There are more addresses: show them"
        none="No address is configured"
        next="Without one, a message that belongs to no conversation goes nowhere."
      >
        {(list.data?.pages.flatMap((page) => page.items) ?? []).map((row) => (
          <li key={row.sid} className="key">
            <div className="row">
              <span className="row-title">{row.address}</span>
              <span className="acts">
                <Act aria-label={`Edit ${row.address}`} onClick={() => setOpen({ of: row, act: 'edit' })}>
                  Edit
                </Act>
                <Act className="danger" aria-label={`Delete ${row.address}`} onClick={() => setOpen({ of: row, act: 'delete' })}>
                  Delete
                </Act>
              </span>
              <span className="row-note">
                {[row.type, row.friendly_name, wordsOf(row.auto_creation)].filter(Boolean).join(' · ')}
              </span>
            </div>
          </li>
        ))}
      </PagedList>
      {open?.act === 'edit' && <EditAddress account={account} stored={open.of} onClose={close} />}
      {open?.act === 'delete' && (
        <FormDialog
          title={`Delete ${open.of.address}?`}
          act="Delete"
          danger
          done="The address was deleted"
          onClose={close}
          run={async () => {
            await remove(`${addressesPath}/${open.of.sid}`, { account })
            await queryClient.invalidateQueries({ queryKey: ['addresses', account] })
          }}
        >
          <p>Its conversations stay. New messages to it open none.</p>
        </FormDialog>
      )}
    </>
  )
}

function wordsOf({ enabled, type }: Address['auto_creation']): string {
  if (!enabled) return 'opens no conversation'
  return type === 'default' ? 'opens a conversation' : `opens a conversation with a ${type === 'studio' ? 'Studio flow' : type}`
}

const types = ['sms', 'whatsapp', 'email', 'messenger', 'rcs', 'gbm', 'apple', 'chat']

interface EditAddressProps {
  readonly account: string
  /** Null: a new one. */
  readonly stored: Address | null
  readonly onClose: () => void
}

function EditAddress({ account, stored, onClose }: EditAddressProps) {
  const auto = stored?.auto_creation
  const [type, setType] = useState<string>(auto?.type ?? 'default')
  return (
    <FormDialog
      title={stored ? `Edit ${stored.address}` : 'New address'}
      act={stored ? 'Save' : 'Create'}
      done={stored ? 'The address was changed' : 'The address was created'}
      onClose={onClose}
      run={async (_texts, given) => {
        await post(stored ? `${addressesPath}/${stored.sid}` : addressesPath, { account, form: formOf(given, stored) })
        await queryClient.invalidateQueries({ queryKey: ['addresses', account] })
      }}
    >
      {!stored && (
        <>
          <SelectField label="Type" name="Type">
            {types.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </SelectField>
          <Field label="Address" name="Address" required maxLength={256} placeholder="+15557654321" />
          <Field label="Country" name="AddressCountry" maxLength={2} hint="Two letters; optional" />
        </>
      )}
      <Field label="Friendly name" name="FriendlyName" maxLength={256} defaultValue={stored?.friendly_name ?? ''} />
      <CheckField label="Opens a conversation" name="AutoCreation.Enabled" checked={auto?.enabled ?? true} />
      <Field
        label="In the service"
        name="AutoCreation.ConversationServiceSid"
        placeholder="IS…"
        hint="Empty: the default one"
        defaultValue={auto?.conversation_service_sid ?? ''}
      />
      <SelectField label="Gives it" name="AutoCreation.Type" value={type} onChange={({ target }) => setType(target.value)}>
        <option value="default">nothing else</option>
        <option value="webhook">a webhook</option>
        <option value="studio">a Studio flow</option>
      </SelectField>
      {type === 'webhook' && (
        <>
          <Field label="URL" name="AutoCreation.WebhookUrl" placeholder="https://" defaultValue={auto?.webhook_url ?? ''} />
          <SelectField label="Method" name="AutoCreation.WebhookMethod" defaultValue={auto?.webhook_method ?? 'POST'}>
            <option>POST</option>
            <option>GET</option>
          </SelectField>
          <PostActionFilters
            name="AutoCreation.WebhookFilters"
            events={scopedEventTypes}
            chosen={auto?.webhook_filters ?? ['onMessageAdded']}
          />
        </>
      )}
      {type === 'studio' && (
        <>
          <Field label="Flow" name="AutoCreation.StudioFlowSid" placeholder="FW…" defaultValue={auto?.studio_flow_sid ?? ''} />
          <Field
            label="Retries"
            name="AutoCreation.StudioRetryCount"
            type="number"
            min={0}
            max={3}
            defaultValue={auto?.studio_retry_count ?? 0}
          />
        </>
      )}
      {stored && (
        <div className="acts">
          <CopyResource
            account={account}
            path={`${addressesPath}/${stored.sid}`}
            resource={stored}
            makes={{ path: addressesPath, form: asForm(stored) }}
          />
        </div>
      )}
    </FormDialog>
  )
}

/** Fields that are not shown are not sent: each type has its own. */
function formOf(given: FormData, stored: Address | null): Form {
  const names = [...new Set(given.keys())].filter((name) => name !== 'AutoCreation.WebhookFilters')
  return {
    ...Object.fromEntries(names.map((name) => [name, textIn(given, name)])),
    AddressCountry: (!stored && textIn(given, 'AddressCountry')) || undefined,
    'AutoCreation.Enabled': flagIn(given, 'AutoCreation.Enabled'),
    ...(given.has('AutoCreation.WebhookUrl') && {
      'AutoCreation.WebhookFilters': choicesIn(given, 'AutoCreation.WebhookFilters'),
    }),
  }
}

function asForm({ type, address, friendly_name, address_country, auto_creation: auto }: Address): Form {
  return {
    Type: type,
    Address: address,
    FriendlyName: friendly_name ?? undefined,
    AddressCountry: address_country ?? undefined,
    'AutoCreation.Enabled': String(auto.enabled),
    'AutoCreation.Type': auto.type,
    'AutoCreation.ConversationServiceSid': auto.conversation_service_sid ?? undefined,
    'AutoCreation.WebhookUrl': auto.webhook_url ?? undefined,
    'AutoCreation.WebhookMethod': auto.webhook_method,
    'AutoCreation.WebhookFilters': auto.webhook_filters,
    'AutoCreation.StudioFlowSid': auto.studio_flow_sid ?? undefined,
    'AutoCreation.StudioRetryCount': auto.studio_retry_count?.toString(),
  }
}
