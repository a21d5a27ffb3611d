import type { Config } from '../config.ts'
import { gatewayFolder } from '../data-folders.ts'
import type { Destination } from '../gateway/destinations.ts'
import { type Credentials, type Variables, variablesFor } from '../gateway/variables.ts'
import { makeTemporaryFolder, removeTemporaryFolder } from '../temporary.ts'
import type { RunningServer } from './server.ts'

/** What a program needs to reach a server by its gateway. */
export interface Entrance {
  /** The proxy of the server. */
  readonly proxyUrl: string
  readonly parley: { readonly tls: Destination; readonly http: Destination }
  /** The certificate to trust, PEM. */
  readonly authority: string
  readonly credentials: Credentials
}

interface GatewayResponse {
  readonly proxy_url: string
  readonly tls_port: number
  readonly authority: string
  readonly account_sid: string
  readonly auth_token: string
}

/** Opens the gateway of a server. Throws ConfigError when it refuses. */
export async function entranceOf({ call, endpoint }: RunningServer, account_sid: string | undefined): Promise<Entrance> {
  const opened = await call<GatewayResponse>('POST', '/gateway', account_sid === undefined ? {} : { account_sid })
  return {
    proxyUrl: opened.proxy_url,
    parley: {
      tls: { host: '127.0.0.1', port: opened.tls_port },
      http: { host: endpoint.address, port: endpoint.port },
    },
    authority: opened.authority,
    credentials: { accountSid: opened.account_sid, authToken: opened.auth_token },
  }
}

/**
 * Returns the variables for a program behind `proxyUrl`. The files that they name are made where they are missing: beside the
 * database, or in a temporary folder for a database in memory.
 */
export async function variablesOf(
  config: Config,
  { proxyUrl, authority, credentials }: Pick<Entrance, 'proxyUrl' | 'authority' | 'credentials'>,
): Promise<Variables & { dispose(): void }> {
  const { trustFiles } = await import('../gateway/trust.ts')
  const kept = gatewayFolder(config)
  const folder = kept ?? makeTemporaryFolder('parley-gateway-')
  const dispose = () => {
    if (kept === null) removeTemporaryFolder(folder)
  }
  try {
    return { ...variablesFor(proxyUrl, trustFiles(folder, authority, process.env), credentials, process.env), dispose }
  } catch (error) {
    dispose()
    throw error
  }
}
