import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { post } from '../api.ts'
import {
  accountWebhooks,
  accountWebhooksPath,
  serviceWebhooks,
  serviceWebhooksPath,
  type WebhookConfiguration,
} from '../configuration.ts'
import { Field, Loading, Problem, SelectField } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { EventFilters } from '../parts/event-filters.tsx'
import { choicesIn, PageForm, textIn } from '../parts/page-form.tsx'
import { TestEvent } from '../parts/test-event.tsx'

/** Where an account's events are sent. */
export function AccountWebhooks() {
  return <ConfigPage title="Webhooks of the account">{(scope) => <OfAccount {...scope} />}</ConfigPage>
}

/** Where a service's events are sent, in place of the account's. */
export function ServiceWebhooks() {
  return <ConfigPage title="Webhooks of the service">{(scope) => <OfService {...scope} />}</ConfigPage>
}

function OfAccount({ account }: Scope) {
  const stored = useQuery(accountWebhooks(account))
  if (!stored.data) return stored.error ? <Problem error={stored.error} /> : <Loading what="the webhooks" />
  return (
    <>
      <p>For the events of all services that have no webhook of their own.</p>
      <WebhookForm
        account={account}
        path={accountWebhooksPath}
        stored={stored.data}
        sid={account}
        target={stored.data.target ?? 'webhook'}
        reload={stored.refetch}
      />
    </>
  )
}

function OfService({ account, service }: Scope) {
  const stored = useQuery(serviceWebhooks(account, service))
  const above = useQuery(accountWebhooks(account))
  const error = stored.error ?? above.error
  if (!stored.data || !above.data) return error ? <Problem error={error} /> : <Loading what="the webhooks" />
  const replaces = stored.data.pre_webhook_url !== null || stored.data.post_webhook_url !== null
  return (
    <>
      <p>
        {replaces
          ? 'This replaces the webhooks of the account entirely, URLs, events and method.'
          : 'It has no URL: the events of this service are sent as the account says. With one URL this replaces it entirely.'}{' '}
        <Link to="/accounts/$account/webhooks" params={{ account }}>
          Webhooks of the account
        </Link>
      </p>
      <WebhookForm
        account={account}
        path={serviceWebhooksPath(service)}
        stored={stored.data}
        sid={service}
        reload={stored.refetch}
      />
    </>
  )
}

interface WebhookFormProps {
  readonly account: string
  readonly path: string
  readonly stored: WebhookConfiguration
  /** Of whom they are. */
  readonly sid: string
  readonly target?: string
  readonly reload: () => Promise<unknown>
}

function WebhookForm({ account, path, stored, sid, target, reload }: WebhookFormProps) {
  return (
    <>
      <PageForm
        of={stored}
        done="The webhooks were saved"
        run={async (given) => {
          const form = {
            PreWebhookUrl: textIn(given, 'pre'),
            PostWebhookUrl: textIn(given, 'post'),
            Method: textIn(given, 'method'),
            Filters: choicesIn(given, 'filters'),
            ...(target !== undefined && { Target: textIn(given, 'target') }),
          }
          await post(path, { account, form })
          await reload()
        }}
      >
        <Field
          label="Pre-action URL"
          name="pre"
          type="text"
          inputMode="url"
          defaultValue={stored.pre_webhook_url ?? ''}
          placeholder="https://"
          hint="Asked before a change. Empty: nobody is."
        />
        <Field
          label="Post-action URL"
          name="post"
          type="text"
          inputMode="url"
          defaultValue={stored.post_webhook_url ?? ''}
          placeholder="https://"
          hint="Told after a change. Empty: nobody is."
        />
        <SelectField label="Method" name="method" defaultValue={stored.method ?? 'POST'}>
          <option value="POST">POST, with a form</option>
          <option value="GET">GET, with a query</option>
        </SelectField>
        {target !== undefined && (
          <SelectField label="Target" name="target" defaultValue={target}>
            <option value="webhook">webhook</option>
            <option value="flex">flex: nothing is sent</option>
          </SelectField>
        )}
        <p className="row-note">
          Only events that are chosen are sent. What a request changes is sent if it has the header X-Twilio-Webhook-Enabled:
          true; what timers, inbound messages and receipts change always is.
        </p>
        <EventFilters name="filters" chosen={stored.filters ?? []} />
      </PageForm>
      {stored.post_webhook_url !== null && (
        <section>
          <h2>Try it</h2>
          <p className="row-note">To the post-action URL as it is saved, signed like any event. It tells of no change.</p>
          <TestEvent key={stored.post_webhook_url} target={sid} />
        </section>
      )}
      <div className="acts">
        <CopyResource account={account} path={path} resource={stored} makes={{ path, form: asForm(stored) }} />
      </div>
    </>
  )
}

function asForm({ pre_webhook_url, post_webhook_url, method, filters, target }: WebhookConfiguration) {
  return {
    PreWebhookUrl: pre_webhook_url ?? '',
    PostWebhookUrl: post_webhook_url ?? '',
    Method: method ?? undefined,
    Filters: filters ?? undefined,
    Target: target,
  }
}
