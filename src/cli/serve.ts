import type { Logger } from 'pino'
import { linkPath } from '../admin/session.ts'
import type { Config } from '../config.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import { type FirstAccount, markFirstAccountShown } from '../installation/open.ts'
import { type Running, type StartOptions, start } from '../main.ts'
import { hasCollector } from '../observability/traces.ts'
import { isLoopback } from '../setting-values.ts'
import { firstStart, firstStartNotice, firstStartSentence } from './first-start.ts'
import type { Output } from './output.ts'

/**
 * Starts the server and stops it on SIGINT, SIGTERM or SIGHUP (its terminal is gone), or when the program that has started it with a
 * channel is gone; a second signal exits at once. `options`: see `start`.
 */
export async function serve(config: Config, output: Output, options: StartOptions = {}): Promise<void> {
  const traces = config.traces ?? hasCollector(process.env)
  const running = await explainErrors(config, () => start({ ...config, traces }, options))
  let stopping = false
  const stop = () => {
    if (stopping) process.exit(1)
    stopping = true
    running.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        output.failed(error)
        process.exit(1)
      },
    )
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  // Whoever has started it with a channel to it, as tests do, is gone.
  if (process.connected) process.once('disconnect', stop)
  if (output.lines) logStart(running, output.lines)
  else printStart(running)
  // If that fails, the next start shows the token once more.
  await markFirstAccountShown(running.installation).catch((err: unknown) => {
    running.installation.log.warn({ err }, 'the first account will be shown again')
  })
}

function logStart(running: Running, lines: Logger): void {
  const { url, installation } = running
  const first = firstStart(installation)
  if (first) lines.info({ ...first, console: consoleLink(running) }, firstStartSentence(installation))
  lines.info({ url }, `Parley listens on ${url}`)
}

function printStart(running: Running): void {
  const { url, installation } = running
  const { account } = installation
  const lines = [`Parley listens on ${url}`]
  if (account.unshownToken !== null) {
    const link = consoleLink(running)
    lines.push('', ...firstStartNotice(installation))
    if (link !== undefined) lines.push(`  console         ${link} (signs in once, within 10 minutes)`)
    // A log has no use for it.
    if (process.stdout.isTTY) lines.push('', 'Try it (npm install twilio):', snippet(url, account.sid, tokenFor(account)))
  }
  console.log(lines.join('\n'))
}

/** Returns a link that signs in to the console, where that is on this machine alone. */
function consoleLink({ url, installation: { config }, operator }: Running): string | undefined {
  return config.console && isLoopback(config.host) ? `${url}${linkPath(operator.createLink().code)}` : undefined
}

function tokenFor({ tokenGivenBy, unshownToken }: FirstAccount): string {
  if (tokenGivenBy === null) return `'${unshownToken}'`
  return tokenGivenBy === 'the seed' ? "'<auth token of the seed>'" : 'process.env.PARLEY_AUTH_TOKEN'
}

function snippet(url: string, sid: string, token: string): string {
  return `
  import twilio from 'twilio'
  const http = new twilio.RequestClient()
  const toParley = { request: (r) => http.request({ ...r, uri: '${url}' + r.uri.slice(r.uri.indexOf('/v1')) }) }
  const client = twilio('${sid}', ${token}, { httpClient: toParley })
  const conversation = await client.conversations.v1.conversations.create({
    friendlyName: 'Hello', 'timers.inactive': 'PT1M', 'timers.closed': 'PT10M',
  })
  console.log(conversation.sid, conversation.state, conversation.timers)
`
}
