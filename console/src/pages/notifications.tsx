import { useQuery } from '@tanstack/react-query'
import { post } from '../api.ts'
import { type Notifications as NotificationsJson, notifications, notificationsPath } from '../configuration.ts'
import { Field, Loading, Problem } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { CheckField, flagIn, PageForm, textIn } from '../parts/page-form.tsx'

/** What devices are notified of. */
export function Notifications() {
  return <ConfigPage title="Notifications">{(scope) => <Form {...scope} />}</ConfigPage>
}

const occasions = [
  ['NewMessage', 'new_message', 'A new message'],
  ['AddedToConversation', 'added_to_conversation', 'Being added to a conversation'],
  ['RemovedFromConversation', 'removed_from_conversation', 'Being removed from a conversation'],
] as const

const variables = ['CONVERSATION', 'PARTICIPANT', 'MESSAGE'].map((name) => `\${${name}}`).join(', ')

const [badge, media, mediaTemplate, log] = [
  'NewMessage.BadgeCountEnabled',
  'NewMessage.WithMedia.Enabled',
  'NewMessage.WithMedia.Template',
  'LogEnabled',
]

function Form({ account, service }: Scope) {
  const stored = useQuery(notifications(account, service))
  if (!stored.data) return stored.error ? <Problem error={stored.error} /> : <Loading what="the notifications" />
  const { data } = stored
  const path = notificationsPath(service)
  return (
    <>
      <p>
        Devices that an app has registered are notified by the service of their maker, with one of the credentials of the account.
        Templates have variables: {variables}; an empty one is the usual text.
      </p>
      <PageForm
        of={data}
        done="The notifications were saved"
        run={async (given) => {
          await post(path, { account, form: asForm(given) })
          await stored.refetch()
        }}
      >
        {occasions.map(([name, key, words], i) => (
          <fieldset key={name} className={i === 0 ? 'first' : undefined}>
            <legend>{words}</legend>
            <CheckField label="Notify" name={`${name}.Enabled`} checked={data[key].enabled} />
            <TemplateField name={`${name}.Template`} stored={data[key].template} />
            <Field label="Sound" name={`${name}.Sound`} defaultValue={data[key].sound ?? ''} />
            {key === 'new_message' && (
              <>
                <CheckField
                  label="Badge"
                  name={badge}
                  checked={data.new_message.badge_count_enabled}
                  hint="How many conversations have unread messages"
                />
                <CheckField
                  label="Notify of messages with media"
                  name={media}
                  checked={data.new_message.with_media.enabled}
                  hint="They have a template of their own"
                />
                <TemplateField label="Template with media" name={mediaTemplate} stored={data.new_message.with_media.template} />
              </>
            )}
          </fieldset>
        ))}
        <fieldset>
          <legend>Log</legend>
          <CheckField label="Log notifications" name={log} checked={data.log_enabled} />
        </fieldset>
      </PageForm>
      <div className="acts">
        <CopyResource account={account} path={path} resource={data} makes={{ path, form: flat(data) }} />
      </div>
    </>
  )
}

interface TemplateFieldProps {
  readonly label?: string
  readonly name: string
  readonly stored: string | null
}

function TemplateField({ label = 'Template', name, stored }: TemplateFieldProps) {
  return <Field label={label} name={name} defaultValue={stored ?? ''} />
}

const texts = [...occasions.flatMap(([name]) => [`${name}.Template`, `${name}.Sound`]), mediaTemplate]
const flags = [...occasions.map(([name]) => `${name}.Enabled`), badge, media, log]

function asForm(given: FormData): Readonly<Record<string, string>> {
  return Object.fromEntries([
    ...texts.map((name) => [name, textIn(given, name)]),
    ...flags.map((name) => [name, flagIn(given, name)]),
  ])
}

/** The parameters that set what is stored. */
function flat({ log_enabled, new_message, ...others }: NotificationsJson): Readonly<Record<string, string>> {
  const all = { new_message, ...others }
  return {
    ...Object.fromEntries(
      occasions.flatMap(([name, key]) => [
        [`${name}.Enabled`, String(all[key].enabled)],
        [`${name}.Template`, all[key].template ?? ''],
        [`${name}.Sound`, all[key].sound ?? ''],
      ]),
    ),
    [badge]: String(new_message.badge_count_enabled),
    [media]: String(new_message.with_media.enabled),
    [mediaTemplate]: new_message.with_media.template ?? '',
    [log]: String(log_enabled),
  }
}
