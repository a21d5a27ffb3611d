import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useAct } from '../act.ts'
import { post, remove } from '../api.ts'
import { type Channel, channelPath, channels, type Kind, kinds, setChannel, type Target, targets } from '../channels.ts'
import { useCurrentService } from '../current.ts'
import { Act } from '../parts/act.tsx'
import { announce } from '../parts/announce.tsx'
import { Empty, Field, Loading, Problem, SelectField, Sid, textsOf } from '../parts/basics.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { SettingFields, settingsOf } from '../parts/setting-fields.tsx'
import { queryClient } from '../queries.ts'
import { Time } from '../time.tsx'

const listRoute = getRouteApi('/accounts/$account/channels')
const oneRoute = getRouteApi('/accounts/$account/channels/$address')

/** The channels of an account: which address is carried by what, and whether it works. */
export function Channels() {
  const { account } = listRoute.useParams()
  const list = useQuery(channels(account))
  const health = useQuery(targets(account))
  const [creating, setCreating] = useState(false)
  return (
    <main>
      <header className="page-header">
        <h1>Channels</h1>
        <div className="acts">
          <SimulatorLink />
          <Link className="button" to="/mail">
            Caught mail
          </Link>
          <Act className="primary" onClick={() => setCreating(true)}>
            New channel
          </Act>
        </div>
      </header>
      <Problem error={list.error} retry={() => void list.refetch()} />
      <Problem error={health.error} retry={() => void health.refetch()} />
      {list.isPending && <Loading what="channels" />}
      {list.data?.length === 0 && (
        <Empty title="No channels yet">
          <p>
            A channel sends and receives the messages of one address of yours. Without one, messages to people with a phone fail.
          </p>
        </Empty>
      )}
      <ul className="rows" aria-label="Channels">
        {list.data?.map((channel) => (
          <ChannelRow key={channel.sid} channel={channel} health={healthOf(channel, health.data?.targets)} />
        ))}
      </ul>
      {creating && <NewChannel account={account} onClose={() => setCreating(false)} />}
    </main>
  )
}

function SimulatorLink() {
  const service = useCurrentService()
  if (service === undefined) return null
  return (
    <Link className="button" to="/services/$service/simulator" params={{ service }} search={{}}>
      Be a customer
    </Link>
  )
}

function healthOf({ sid }: Channel, all: readonly Target[] | undefined): Target | undefined {
  return all?.find(({ target_sid }) => target_sid === sid)
}

function ChannelRow({ channel, health }: { readonly channel: Channel; readonly health: Target | undefined }) {
  return (
    <li>
      <Link
        to="/accounts/$account/channels/$address"
        params={{ account: channel.account_sid, address: channel.proxy_address }}
        className="row"
      >
        <span className="row-title">{channel.proxy_address}</span>
        <span className="badge">{channel.kind}</span>
        <span className="row-note">{health ? healthWords(health) : 'nothing was sent lately'}</span>
        <span className="row-time">
          changed <Time at={channel.date_updated} />
        </span>
      </Link>
    </li>
  )
}

/** Such as `12 sent, 1 failed: HTTP 500`. */
function healthWords({ delivered, failed, pending, last_failure }: Target): string {
  const counts = [`${delivered} sent`, pending > 0 && `${pending} waiting`, failed > 0 && `${failed} failed`].filter(Boolean)
  return `${counts.join(', ')}${last_failure ? `; last error: ${errorWords(last_failure)}` : ''}`
}

function errorWords({ error, status }: NonNullable<Target['last_failure']>): string {
  return error ?? (status === null ? 'no response' : `HTTP ${status}`)
}

function NewChannel({ account, onClose }: { readonly account: string; readonly onClose: () => void }) {
  const known = useQuery(kinds)
  const navigate = useNavigate()
  const [chosen, setChosen] = useState<string>()
  const kind = known.data?.find(({ name }) => name === chosen) ?? known.data?.[0]
  return (
    <FormDialog
      title="New channel"
      act="Create"
      done="The channel was created"
      onClose={onClose}
      run={async ({ address = '', ...texts }) => {
        if (!kind) throw new Error('Choose a kind.')
        const made = await setChannel(account, address, kind.name, settingsOf(kind.settings, texts))
        await queryClient.invalidateQueries({ queryKey: ['channels', account] })
        await navigate({ to: '/accounts/$account/channels/$address', params: { account, address: made.proxy_address } })
      }}
    >
      <Field
        label="Address"
        name="address"
        required
        placeholder="+15557654321"
        hint="Of yours: a number, whatsapp:+…, or a mailbox"
      />
      <KindFields known={known.data} kind={kind} values={{}} onChoose={setChosen} />
      <Problem error={known.error} retry={() => void known.refetch()} />
    </FormDialog>
  )
}

interface KindFieldsProps {
  readonly known: readonly Kind[] | undefined
  readonly kind: Kind | undefined
  readonly values: Readonly<Record<string, unknown>>
  readonly onChoose: (name: string) => void
}

function KindFields({ known, kind, values, onChoose }: KindFieldsProps) {
  return (
    <>
      <SelectField label="Kind" name="kind" value={kind?.name ?? ''} onChange={({ target }) => onChoose(target.value)}>
        {known?.map(({ name }) => (
          <option key={name}>{name}</option>
        ))}
      </SelectField>
      {kind && (
        <p className="row-note">
          {kind.description}. It carries {kind.serves.join(', ')}.
        </p>
      )}
      {/* Another kind has other fields, also where the names are the same. */}
      {kind && <SettingFields key={kind.name} declared={kind.settings} values={values} />}
    </>
  )
}

/** One channel: its settings, whether they work, and how its messages fare. */
export function OneChannel() {
  const { account, address } = oneRoute.useParams()
  const list = useQuery(channels(account))
  const channel = list.data?.find(({ proxy_address }) => proxy_address === address)
  if (channel) return <Loaded key={channel.sid} channel={channel} />
  return (
    <main>
      <h1>{address}</h1>
      {list.isPending && <Loading what="the channel" />}
      <Problem error={list.error} retry={() => void list.refetch()} />
      {list.data && (
        <Empty title="This address has no channel">
          <p>
            <Link to="/accounts/$account/channels" params={{ account }}>
              All channels
            </Link>
          </p>
        </Empty>
      )}
    </main>
  )
}

interface Checked {
  readonly ok: boolean
  readonly says: string
}

function Loaded({ channel }: { readonly channel: Channel }) {
  const { account_sid: account, proxy_address: address } = channel
  const health = useQuery(targets(account))
  const navigate = useNavigate()
  const [deleting, setDeleting] = useState(false)
  const check = useAct({ mutationFn: () => post<Checked>(`${channelPath(account, address)}/check`) })
  return (
    <main>
      <p className="back">
        <Link to="/accounts/$account/channels" params={{ account }}>
          Channels
        </Link>
      </p>
      <header className="page-header">
        <h1>{address}</h1>
        <div className="acts">
          <Act disabled={check.isPending} onClick={() => check.mutate()}>
            {check.isPending ? 'Testing …' : 'Test'}
          </Act>
          <Act className="danger" onClick={() => setDeleting(true)}>
            Delete
          </Act>
        </div>
      </header>
      <Problem error={check.error} />
      {check.data && (
        <p role="status" className={check.data.ok ? 'said good' : 'said bad'}>
          {check.data.ok ? 'It works' : 'It does not work'}: {check.data.says}
        </p>
      )}
      <Facts channel={channel} health={healthOf(channel, health.data?.targets)} />
      <Problem error={health.error} retry={() => void health.refetch()} />
      <h2>Settings</h2>
      <SettingsForm channel={channel} />
      {deleting && (
        <FormDialog
          title={`Delete the channel of ${address}?`}
          act="Delete"
          danger
          done="The channel was deleted"
          onClose={() => setDeleting(false)}
          run={async () => {
            await remove(channelPath(account, address))
            await navigate({ to: '/accounts/$account/channels', params: { account } })
            await queryClient.invalidateQueries({ queryKey: ['channels', account] })
          }}
        >
          <p>Its settings go with it. Messages from this address fail from then on, but for those of a test mode.</p>
        </FormDialog>
      )}
    </main>
  )
}

function Facts({ channel, health }: { readonly channel: Channel; readonly health: Target | undefined }) {
  const failure = health?.last_failure
  return (
    <dl className="facts">
      <dt>Channel</dt>
      <dd>
        <Sid sid={channel.sid} />
      </dd>
      <dt>Providers call</dt>
      <dd className="code">/channels/{channel.sid} at PARLEY_PUBLIC_URL</dd>
      <dt>Lately</dt>
      <dd>
        {health ? `${health.delivered} sent, ${health.failed} failed, ${health.pending} waiting` : 'nothing was sent'}
        {typeof health?.median_duration_ms === 'number' && `; half of them within ${health.median_duration_ms} ms`}
      </dd>
      <dt>Last error</dt>
      <dd>
        {failure ? (
          <>
            <Link to="/deliveries/$id" params={{ id: failure.delivery_id }}>
              {errorWords(failure)}
            </Link>{' '}
            <Time at={failure.date} />
          </>
        ) : (
          'none'
        )}
      </dd>
      <dt>Changed</dt>
      <dd>
        <Time at={channel.date_updated} />
      </dd>
    </dl>
  )
}

function SettingsForm({ channel }: { readonly channel: Channel }) {
  const { account_sid: account, proxy_address: address } = channel
  const known = useQuery(kinds)
  const [chosen, setChosen] = useState(channel.kind)
  const kind = known.data?.find(({ name }) => name === chosen)
  const save = useAct({
    mutationFn: async (texts: Readonly<Record<string, string>>) => {
      if (!kind) throw new Error(`This version of Parley has no kind ${chosen}: choose another one.`)
      await setChannel(account, address, kind.name, settingsOf(kind.settings, texts))
      await queryClient.invalidateQueries({ queryKey: ['channels', account] })
    },
    onSuccess: () => announce('The settings were saved'),
  })
  if (!known.data)
    return known.error ? <Problem error={known.error} retry={() => void known.refetch()} /> : <Loading what="kinds" />
  return (
    // What was saved is shown anew: a secret that was typed is a mask from then on.
    <form
      key={channel.date_updated}
      className="form"
      onSubmit={(event) => {
        event.preventDefault()
        save.mutate(textsOf(event.currentTarget))
      }}
    >
      <KindFields
        known={known.data}
        kind={kind}
        values={kind?.name === channel.kind ? channel.settings : {}}
        onChoose={setChosen}
      />
      <Problem error={save.error} />
      <Act type="submit" className="primary" disabled={save.isPending}>
        Save
      </Act>
    </form>
  )
}
