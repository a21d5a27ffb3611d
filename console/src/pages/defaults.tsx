import { useQuery } from '@tanstack/react-query'
import { post } from '../api.ts'
import { accountConfiguration, accountConfigurationPath } from '../configuration.ts'
import { Field, Loading, Problem } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { PageForm, textIn } from '../parts/page-form.tsx'
import { queryClient } from '../queries.ts'

/** What holds in an account where nothing else is said. */
export function Defaults() {
  return <ConfigPage title="Defaults of the account">{(scope) => <Form {...scope} />}</ConfigPage>
}

function Form({ account }: Scope) {
  const stored = useQuery(accountConfiguration(account))
  if (!stored.data) return stored.error ? <Problem error={stored.error} /> : <Loading what="the defaults" />
  const { data } = stored
  const form = {
    DefaultInactiveTimer: data.default_inactive_timer ?? '',
    DefaultClosedTimer: data.default_closed_timer ?? '',
    DefaultChatServiceSid: data.default_chat_service_sid,
    DefaultMessagingServiceSid: data.default_messaging_service_sid,
  }
  return (
    <>
      <PageForm
        of={data}
        done="The defaults were saved"
        run={async (given) => {
          const names = Object.keys(form)
          await post(accountConfigurationPath, {
            account,
            form: Object.fromEntries(names.map((name) => [name, textIn(given, name)])),
          })
          await Promise.all([stored.refetch(), queryClient.invalidateQueries({ queryKey: ['accounts'] })])
          // A SID of the account stands for its default service.
          queryClient.removeQueries({ queryKey: ['place', account] })
        }}
      >
        <p className="row-note">
          Timers of conversations that are created without their own: ISO 8601 durations, such as PT10M or P1D. Empty: none.
        </p>
        <Field
          label="Becomes inactive after"
          name="DefaultInactiveTimer"
          placeholder="PT10M"
          hint="At least PT1M"
          defaultValue={form.DefaultInactiveTimer}
        />
        <Field
          label="Closes after"
          name="DefaultClosedTimer"
          placeholder="PT1H"
          hint="At least PT10M"
          defaultValue={form.DefaultClosedTimer}
        />
        <Field
          label="Default service"
          name="DefaultChatServiceSid"
          hint="Paths without a service mean this one"
          defaultValue={form.DefaultChatServiceSid}
        />
        <Field
          label="Default messaging service"
          name="DefaultMessagingServiceSid"
          defaultValue={form.DefaultMessagingServiceSid}
        />
      </PageForm>
      <div className="acts">
        <CopyResource
          account={account}
          path={accountConfigurationPath}
          resource={data}
          makes={{ path: accountConfigurationPath, form }}
        />
      </div>
    </>
  )
}
