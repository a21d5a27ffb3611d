import { useQuery } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { type RefObject, useEffect, useRef, useState } from 'react'
import { aSid } from '../api.ts'
import { useCurrentService } from '../current.ts'
import { useLive } from '../live.ts'
import { accounts, placeOf, services } from '../queries.ts'
import { useMay, useRefusal } from '../rights.ts'
import { type Choice, type Name, useSetting } from '../settings.ts'
import { Announcements } from './announce.tsx'
import { Empty, Problem } from './basics.tsx'
import { Palette } from './palette.tsx'
import { SignOut } from './sign-out.tsx'

/** What every page has: where one is, and where one can go. */
export function Frame() {
  return useMay('read') ? <Everything /> : <AuditOnly />
}

/** For those who may not see what there is, but what was done to it. */
function AuditOnly() {
  // What is shown, rather than where one is going: the next page may have to be loaded first.
  const shown = useRouterState({ select: ({ matches }) => matches.at(-1)?.routeId })
  const refusal = useRefusal('read')
  return (
    <>
      <header className="top">
        <Link to="/" className="brand">
          Parley
        </Link>
        <nav aria-label="Pages">
          <Link to="/audit" search={{}} activeOptions={{ includeSearch: false }}>
            Audit log
          </Link>
        </nav>
        <Settings />
      </header>
      <div id="page">
        {shown === '/' || shown === '/audit' ? (
          <Outlet />
        ) : (
          <main>
            <h1>Not allowed</h1>
            <Empty title={refusal ?? ''}>
              <p>
                You may see the{' '}
                <Link to="/audit" search={{}}>
                  audit log
                </Link>
                .
              </p>
            </Empty>
          </main>
        )}
      </div>
      <Announcements />
    </>
  )
}

/** With looking for a SID, and following what changes. */
function Everything() {
  useLive()
  const [palette, setPalette] = useState(false)
  const search = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        setPalette(true)
      }
      const typing = event.target instanceof HTMLElement && event.target.matches('input, textarea, select, [contenteditable]')
      if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault()
        search.current?.focus()
      }
    }
    addEventListener('keydown', pressed)
    return () => removeEventListener('keydown', pressed)
  }, [])
  return (
    <>
      <a className="skip" href="#page">
        Skip to the page
      </a>
      <header className="top">
        <Link to="/" className="brand">
          Parley
        </Link>
        <nav aria-label="Pages">
          <ConversationsLink />
          <Link to="/deliveries" search={{}}>
            Deliveries
          </Link>
          <ChannelsLink />
          <Link to="/clock">Clock</Link>
          <ConfigurationLink />
        </nav>
        <Scope />
        <Search input={search} />
        <button type="button" className="quiet" onClick={() => setPalette(true)}>
          <span aria-hidden="true">Ctrl K</span>
          <span className="hidden">Commands</span>
        </button>
        <Settings />
      </header>
      <div id="page">
        <Outlet />
      </div>
      <Announcements />
      {palette && <Palette onClose={() => setPalette(false)} />}
    </>
  )
}

function ConversationsLink() {
  const service = useCurrentService()
  if (service === undefined) return null
  return (
    <Link to="/services/$service/conversations" params={{ service }} search={{}} activeOptions={{ includeSearch: false }}>
      Conversations
    </Link>
  )
}

const ofConfiguration =
  /^(?:\/console)?\/(?:accounts|audit|installation|operators|services\/\w+(?:\/(?:users|roles|webhooks|notifications|bindings)|\/?$))/

function ConfigurationLink() {
  const service = useCurrentService()
  const path = useRouterState({ select: ({ location }) => location.pathname })
  if (service === undefined) return null
  const active = ofConfiguration.test(path) && ({ className: 'active', 'aria-current': 'page' } as const)
  return (
    <Link to="/services/$service" params={{ service }} activeOptions={{ exact: true }} {...active}>
      Configuration
    </Link>
  )
}

function ChannelsLink() {
  const service = useCurrentService()
  const place = useQuery({ ...placeOf(service ?? ''), enabled: service !== undefined })
  if (!place.data) return null
  return (
    <Link to="/accounts/$account/channels" params={{ account: place.data.account_sid }}>
      Channels
    </Link>
  )
}

/** Which account and which service is looked at. */
function Scope() {
  const service = useCurrentService()
  const all = useQuery(accounts)
  const place = useQuery({ ...placeOf(service ?? ''), enabled: service !== undefined })
  const account = place.data?.account_sid
  const ofAccount = useQuery({ ...services(account ?? ''), enabled: account !== undefined })
  const navigate = useNavigate()
  const go = (chosen: string) =>
    void navigate({ to: '/services/$service/conversations', params: { service: chosen }, search: {} })
  if (all.error) return <Problem error={all.error} retry={() => void all.refetch()} />
  return (
    <div className="scope">
      <select
        aria-label="Account"
        value={account ?? ''}
        onChange={({ target: { value } }) => {
          const chosen = all.data?.find(({ sid }) => sid === value)
          if (chosen) go(chosen.default_chat_service_sid)
        }}
      >
        {all.data?.map(({ sid, friendly_name, status }) => (
          <option key={sid} value={sid}>
            {`${friendly_name || sid}${status === 'suspended' ? ' (suspended)' : ''}`}
          </option>
        ))}
      </select>
      <select aria-label="Service" value={service ?? ''} onChange={({ target: { value } }) => go(value)}>
        {ofAccount.data?.map(({ sid, friendly_name }) => (
          <option key={sid} value={sid}>
            {friendly_name || sid}
          </option>
        ))}
        {service !== undefined && !ofAccount.data?.some(({ sid }) => sid === service) && (
          <option value={service}>{service}</option>
        )}
      </select>
    </div>
  )
}

/** A SID leads to its page, anything else to what is found by it. */
function Search({ input }: { readonly input: RefObject<HTMLInputElement | null> }) {
  const navigate = useNavigate()
  return (
    <search>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          const text = input.current?.value.trim() ?? ''
          if (aSid.test(text)) void navigate({ to: '/$sid', params: { sid: text } })
          else if (text) void navigate({ to: '/search', search: { q: text.slice(0, 256) } })
          if (text && input.current) input.current.value = ''
        }}
      >
        <input ref={input} type="search" aria-label="Look for a SID, a name or a text" placeholder="SID, name or text ( / )" />
      </form>
    </search>
  )
}

interface SettingProps<N extends Name> {
  readonly name: N
  readonly label: string
  readonly words: Readonly<Record<Choice<N>, string>>
}

function Setting<N extends Name>({ name, label, words }: SettingProps<N>) {
  const [value, set] = useSetting(name)
  return (
    <label>
      {label}{' '}
      <select value={value} onChange={({ target }) => set(target.value as Choice<N>)}>
        {Object.entries<string>(words).map(([choice, text]) => (
          <option key={choice} value={choice}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}

function Settings() {
  return (
    <>
      <button type="button" className="quiet" popoverTarget="settings">
        Settings
      </button>
      <div id="settings" popover="auto">
        <Setting name="theme" label="Theme" words={{ system: 'as the system', light: 'light', dark: 'dark' }} />
        <Setting name="time" label="Times" words={{ relative: 'relative', absolute: 'absolute' }} />
        <Setting name="zone" label="Zone" words={{ local: 'local', utc: 'UTC' }} />
        <SignOut />
      </div>
    </>
  )
}
