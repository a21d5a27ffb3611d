import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { post, remove, servicePath } from '../api.ts'
import { account, type ServiceConfiguration, service, serviceConfiguration, serviceConfigurationPath } from '../configuration.ts'
import { Act } from '../parts/act.tsx'
import { Loading, Problem, Sid } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { CheckField, flagIn, PageForm, textIn } from '../parts/page-form.tsx'
import { RoleField } from '../parts/role-field.tsx'
import { queryClient } from '../queries.ts'
import { Dates } from '../time.tsx'

/** One service: what it is, and its configuration. */
export function OneService() {
  return (
    <ConfigPage title="Service">
      {(scope) => (
        <>
          <Itself {...scope} />
          <Settings {...scope} />
        </>
      )}
    </ConfigPage>
  )
}

function Itself({ account: of, service: sid }: Scope) {
  const itself = useQuery(service(of, sid))
  const owner = useQuery(account(of))
  const navigate = useNavigate()
  /** The name that it had when it was asked for. */
  const [deleting, setDeleting] = useState<string | null>(null)
  const isDefault = owner.data?.default_chat_service_sid === sid
  if (!itself.data) return itself.error ? <Problem error={itself.error} /> : <Loading what="the service" />
  const { friendly_name, date_created } = itself.data
  return (
    <section>
      <dl className="facts">
        <dt>Name</dt>
        <dd>
          {friendly_name} {isDefault && <span className="badge">default</span>}
        </dd>
        <dt>SID</dt>
        <dd>
          <Sid sid={sid} />
        </dd>
        <Dates created={date_created} />
      </dl>
      {isDefault && (
        <p className="row-note">Paths without a service mean this one. It cannot be deleted as long as it is the default.</p>
      )}
      <div className="acts">
        <Link className="button" to="/services/$service/conversations" params={{ service: sid }} search={{}}>
          Its conversations
        </Link>
        <CopyResource
          account={of}
          path={servicePath(sid)}
          resource={itself.data}
          makes={{ path: '/v1/Services', form: { FriendlyName: friendly_name } }}
        />
        <Act className="danger" disabled={isDefault} onClick={() => setDeleting(friendly_name || sid)}>
          Delete
        </Act>
      </div>
      {deleting !== null && (
        <FormDialog
          title={`Delete ${deleting}?`}
          act="Delete"
          danger
          done="The service was deleted"
          onClose={() => setDeleting(null)}
          run={async () => {
            await remove(servicePath(sid), { account: of })
            await navigate({ to: '/accounts/$account/services', params: { account: of } })
            await queryClient.invalidateQueries({ queryKey: ['services', of] })
          }}
        >
          <p>Its conversations, messages, files, users and roles go with it. This cannot be undone.</p>
        </FormDialog>
      )}
    </section>
  )
}

function Settings({ account: of, service: sid }: Scope) {
  const stored = useQuery(serviceConfiguration(of, sid))
  if (stored.error) return <Problem error={stored.error} retry={() => void stored.refetch()} />
  if (!stored.data) return <Loading what="its configuration" />
  const { data } = stored
  const path = serviceConfigurationPath(sid)
  return (
    <section>
      <h2>Configuration</h2>
      <PageForm
        of={data}
        done="The configuration was saved"
        run={async (given) => {
          const form = {
            DefaultConversationCreatorRoleSid: textIn(given, 'creator'),
            DefaultConversationRoleSid: textIn(given, 'participant'),
            DefaultChatServiceRoleSid: textIn(given, 'user'),
            ReachabilityEnabled: flagIn(given, 'reachability'),
          }
          await post<ServiceConfiguration>(path, { account: of, form })
          await stored.refetch()
        }}
      >
        <RoleField
          label="Role of who creates a conversation"
          name="creator"
          type="conversation"
          account={of}
          service={sid}
          chosen={data.default_conversation_creator_role_sid}
        />
        <RoleField
          label="Role of other participants"
          name="participant"
          type="conversation"
          account={of}
          service={sid}
          chosen={data.default_conversation_role_sid}
        />
        <RoleField
          label="Role of users"
          name="user"
          type="service"
          account={of}
          service={sid}
          chosen={data.default_chat_service_role_sid}
        />
        <CheckField
          label="Reachability"
          name="reachability"
          checked={data.reachability_enabled}
          hint="Tells who is online and who can be notified. Off, both are unknown (null)."
        />
      </PageForm>
      <p className="row-note">
        Timers of new conversations have their{' '}
        <Link to="/accounts/$account/defaults" params={{ account: of }}>
          defaults
        </Link>{' '}
        in the account, for all of its services.
      </p>
      <div className="acts">
        <CopyResource account={of} path={path} resource={data} />
      </div>
    </section>
  )
}
