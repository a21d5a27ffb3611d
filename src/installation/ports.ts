import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { codeOf } from '../errors.ts'

/** Where something listens, and the setting that says so. */
export interface Listener {
  readonly host: string
  readonly port: number
  /** As a sentence names it. */
  readonly setting: string
}

/** The gateway is on loopback alone. */
const loopback = '127.0.0.1'

/** The port that tools for mail in development use. */
const testMailPort = 2525

/** Returns where mail is received; null when it is not. In test mode any port will do: several servers may run side by side. */
export function mailListener({ mailListen, testMode }: Config): (Listener & { readonly anyPort: boolean }) | null {
  const setting = 'PARLEY_MAIL_LISTEN (--mail-listen)'
  if (mailListen === 'off') return null
  if (mailListen) return { ...mailListen, setting, anyPort: false }
  return testMode ? { host: loopback, port: testMailPort, setting, anyPort: true } : null
}

/** Returns where `config` has the server listen, in the order in which it does. */
export function listenersOf({ host, port, metricsPort, gatewayPort, gatewayTlsPort }: Config) {
  const server: Listener = { host, port, setting: 'PORT (--port)' }
  const metrics = metricsPort === null ? null : { host, port: metricsPort, setting: 'PARLEY_METRICS_PORT (--metrics-port)' }
  const gateway = [
    { host: loopback, port: gatewayPort, setting: 'PARLEY_GATEWAY_PORT (--gateway-port)' },
    { host: loopback, port: gatewayTlsPort, setting: 'PARLEY_GATEWAY_TLS_PORT (--gateway-tls-port)' },
  ]
  return { server, metrics, gateway }
}

/**
 * Listens for a moment wherever the server will: a port that is taken, or that two settings name, is found out before anything is
 * written. Throws ConfigError.
 */
export async function checkPorts(config: Config): Promise<void> {
  const { server, metrics, gateway } = listenersOf(config)
  const mail = mailListener(config)
  const listeners = [server, metrics, ...gateway, mail?.anyPort ? null : mail].filter(
    (one): one is Listener => one !== null && one.port !== null,
  )
  const opened: Server[] = []
  try {
    for (const [at, listener] of listeners.entries()) opened.push(await probe(listener, listeners.slice(0, at)))
  } finally {
    await Promise.all(opened.map((probe) => once(probe.close(), 'close')))
  }
}

async function probe(listener: Listener, earlier: readonly Listener[]): Promise<Server> {
  const server = createServer()
  try {
    await once(server.listen({ host: listener.host, port: listener.port }), 'listening')
    return server
  } catch (error) {
    const other = earlier.find(({ port }) => port === listener.port)
    if (other && codeOf(error) === 'EADDRINUSE') {
      throw new ConfigError(`${other.setting} and ${listener.setting} are both ${listener.port}: set one to another port`)
    }
    throw explainListenError(error, listener)
  }
}

/** Returns a ConfigError where whoever runs Parley can remedy it, otherwise the error itself. */
export function explainListenError(error: unknown, { host, port, setting }: Listener): unknown {
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new ConfigError(`port ${port} on ${host} is in use: stop the program that uses it, or set ${setting}`)
    case 'EACCES':
      return new ConfigError(`this user may not listen on port ${port}: set ${setting} to a port above 1023`)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new ConfigError(`this machine has no address ${host}: set HOST (--host)`)
    default:
      return error
  }
}
