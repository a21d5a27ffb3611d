import { linkPath } from '../admin/session.ts'
import { type Config, isLoopback } from '../config.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import { type FirstAccount, markFirstAccountShown } from '../installation/open.ts'
import { type Running, start } from '../main.ts'
import { firstStartNotice } from './first-start.ts'

/**
 * Starts the server and stops it on SIGINT, SIGTERM or SIGHUP (its terminal is gone), or when the program that has started it with a
 * channel is gone; a second signal exits at once.
 */
export async function serve(config: Config): Promise<void> {
  const running = await explainErrors(config, () => start(config))
  let stopping = false
  const stop = () => {
    if (stopping) process.exit(1)
    stopping = true
    running.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    )
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  // Whoever has started it with a channel to it, as tests do, is gone.
  if (process.connected) process.once('disconnect', stop)
  printStart(running)
  // If that fails, the next start shows the token once more.
  await markFirstAccountShown(running.installation).catch((err: unknown) => {
    running.installation.log.warn({ err }, 'the first account will be shown again')
  })
}

function printStart({ url, installation, operator }: Running): void {
  const { account, config } = installation
  const lines = [`Parley listens on ${url}`]
  if (account.unshownToken !== null) {
    lines.push('', ...firstStartNotice(installation))
    if (config.console && isLoopback(config.host)) {
      lines.push(`  console         ${url}${linkPath(operator.createLink().code)} (signs in once, within 10 minutes)`)
    }
    // A log has no use for it.
    if (process.stdout.isTTY) {
      lines.push('', 'Try it (npm install twilio):', snippet(url, account.sid, tokenFor(account)))
    }
  }
  console.log(lines.join('\n'))
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
