import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { Fragment, type ReactNode } from 'react'
import { useCurrentService } from '../current.ts'
import { placeOf } from '../queries.ts'
import '../configuration.css'
import { useMay, useRefusal } from '../rights.ts'
import { Loading, Problem } from './basics.tsx'

/** What a page of the configuration is about. */
export interface Scope {
  readonly account: string
  readonly service: string
}

interface ConfigPageProps {
  readonly title: string
  /** What can be done to all of it; beside the title. */
  readonly acts?: ReactNode
  /** What is about no account and no service is also shown to those who may see none. */
  readonly children: ReactNode | ((scope: Scope) => ReactNode)
}

/** A page of the configuration: of the account or the service that its path names, or of the installation. */
export function ConfigPage({ title, acts, children }: ConfigPageProps) {
  const { account, service: named } = useParams({ strict: false })
  const mayRead = useMay('read')
  const service = useCurrentService()
  const place = useQuery({ ...placeOf(named ?? account ?? service ?? ''), enabled: (named ?? account ?? service) !== undefined })
  const scope = place.data && { account: place.data.account_sid, service: place.data.service_sid }
  const isOfAll = typeof children !== 'function'
  return (
    <main className={mayRead ? 'configuration' : undefined}>
      {scope ? <Pages {...scope} /> : mayRead && <div />}
      <div className="configuration-page">
        <header className="page-header">
          <h1>{title}</h1>
          {(scope || isOfAll) && acts && <div className="acts">{acts}</div>}
        </header>
        <Problem error={place.error} retry={() => void place.refetch()} />
        {place.isPending && !isOfAll && <Loading what={title.toLowerCase()} />}
        {/* Of another account or service everything is read anew. */}
        {scope && !isOfAll && <Fragment key={`${scope.account} ${scope.service}`}>{children(scope)}</Fragment>}
        {isOfAll && children}
      </div>
    </main>
  )
}

/** The pages of the configuration, by what they are about. */
function Pages({ account, service }: Scope) {
  const mayRun = useRefusal('read', true) === null
  const mayManage = useRefusal('manage', true) === null
  const mayErase = useRefusal('manage') === null
  const mayAudit = useRefusal('audit', true) === null
  const ofAccount = { params: { account }, activeOptions: { exact: true } }
  const ofService = { params: { service }, activeOptions: { exact: true } }
  return (
    <nav className="pages" aria-label="Configuration">
      <p>Service</p>
      <Link to="/services/$service" {...ofService}>
        Settings
      </Link>
      <Link to="/services/$service/users" params={{ service }}>
        Users
      </Link>
      <Link to="/services/$service/roles" {...ofService}>
        Roles
      </Link>
      <Link to="/services/$service/webhooks" {...ofService}>
        Webhooks
      </Link>
      <Link to="/services/$service/notifications" {...ofService}>
        Notifications
      </Link>
      <Link to="/services/$service/bindings" params={{ service }} search={{}} activeOptions={{ includeSearch: false }}>
        Bindings
      </Link>
      <p>Account</p>
      <Link to="/accounts/$account" {...ofAccount}>
        Account and keys
      </Link>
      <Link to="/accounts/$account/services" {...ofAccount}>
        Services
      </Link>
      <Link to="/accounts/$account/defaults" {...ofAccount}>
        Defaults
      </Link>
      <Link to="/accounts/$account/webhooks" {...ofAccount}>
        Webhooks
      </Link>
      <Link to="/accounts/$account/addresses" {...ofAccount}>
        Addresses
      </Link>
      <Link to="/accounts/$account/credentials" {...ofAccount}>
        Credentials
      </Link>
      {mayErase && (
        <Link to="/accounts/$account/privacy" params={{ account }} search={{}} activeOptions={{ includeSearch: false }}>
          Privacy
        </Link>
      )}
      <p>Installation</p>
      <Link to="/accounts" activeOptions={{ exact: true }}>
        Accounts
      </Link>
      {mayRun && <Link to="/installation">Nodes and storage</Link>}
      {mayManage && <Link to="/operators">Operators</Link>}
      {mayAudit && (
        <Link to="/audit" search={{}} activeOptions={{ includeSearch: false }}>
          Audit log
        </Link>
      )}
    </nav>
  )
}
