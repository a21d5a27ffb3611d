import { Command, InvalidArgumentError, Option } from 'commander'
import { deliveryKinds, deliveryStatuses } from '../delivery/log.ts'
import { asOperator } from './operator.ts'
import type { Call } from './server.ts'
import { configOf, withSettings } from './settings.ts'
import { printable, printRow } from './terminal.ts'

/** A delivery as the operator's API represents it. */
export interface Delivery {
  id: string
  event_type: string
  subject_sid: string
  method: string
  url: string | null
  params: Record<string, string>
  status: string
  attempts: { at: string; duration_ms: number; status: number | null; error: string | null }[]
  date_created: string
}

/** Which deliveries a command is about: its options, by the parameters of the operator's API. */
const parameters = {
  account: 'account_sid',
  service: 'service_sid',
  conversation: 'conversation_sid',
  status: 'status',
  event: 'event_type',
  target: 'target_sid',
  kind: 'kind',
  from: 'from',
  to: 'to',
  text: 'text',
  since: 'since',
  until: 'until',
} as const

export type Filter = { readonly [Option in keyof typeof parameters]?: string }

interface Page {
  deliveries: Delivery[]
  next_before: string | null
}

/** The most that the API returns in a page. */
const pageSize = 1000

/** `parley deliveries …`: lists, shows and drops deliveries of webhooks and channel messages. */
export function deliveriesCommand(): Command {
  const deliveries = new Command('deliveries').description('list, show or drop deliveries of webhooks and channel messages')
  deliveries.addCommand(
    withMoreFilters(withFilter(withSettings(new Command('list').description('list deliveries, newest first'))))
      .addOption(new Option('--status <status>', 'only those that are').choices(deliveryStatuses))
      .option('--from <date>', 'created at this ISO 8601 date or later')
      .option('--to <date>', 'created at this date or earlier; a day counts as a whole')
      .option('--limit <number>', 'how many at most', positiveInteger, 50)
      .option('--json', 'print each as a line of JSON, with its parameters and attempts')
      .action((_options, command: Command) => {
        const { limit, json, ...filter } = command.opts<Filter & { limit: number; json?: true }>()
        return asOperator(configOf(command), async (call) => {
          let left = limit
          let any = false
          for await (const page of pagesOf(call, filter, limit)) {
            any ||= page.length > 0
            for (const delivery of page.slice(0, left)) print(delivery, json)
            left -= page.length
            if (left <= 0) break
          }
          // Not on standard output, which programs read.
          if (!any) console.error('no deliveries')
        })
      }),
    { isDefault: true },
  )
  deliveries.addCommand(
    withSettings(new Command('show').description('show a delivery as JSON, with its parameters and attempts'))
      .argument('<id>', 'id of the delivery, WD…')
      .action((id: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const text = JSON.stringify(await call<Delivery>('GET', pathOf(id)), null, 2)
          console.log(text.split('\n').map(printable).join('\n'))
        }),
      ),
  )
  deliveries.addCommand(
    withSettings(new Command('drop').description('drop the pending deliveries to a target; they have failed, with that reason'))
      .argument('<target>', 'SID of the account, service, webhook or channel that they are sent to')
      .action((target: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const { dropped } = await call<{ dropped: number }>(
            'DELETE',
            `/deliveries?${new URLSearchParams({ target_sid: target })}`,
          )
          console.log(`${dropped} ${dropped === 1 ? 'delivery is' : 'deliveries are'} dropped`)
        }),
      ),
  )
  return deliveries
}

/** `parley redeliver`: sends deliveries once more, by their ids or all that have failed since a date. */
export function redeliverCommand(): Command {
  return withMoreFilters(
    withFilter(
      withSettings(new Command('redeliver').description('send deliveries once more, with the same idempotency token'))
        .argument('[id...]', 'ids of deliveries, WD…')
        .option('--since <date>', 'in place of ids: those that have failed of what was created from this ISO 8601 date on')
        .option('--until <date>', 'with --since: created before this date'),
    ),
  )
    .addOption(new Option('--kind <kind>', 'only those that are').choices(deliveryKinds))
    .addHelpText('after', '\nWhat narrows the choice down goes with --since.')
    .action((ids: string[], _options, command: Command) => {
      const filter = command.opts<Filter>()
      const isNarrowed = Object.keys(parametersOf(filter)).length > 0
      if (filter.since === undefined ? ids.length === 0 || isNarrowed : ids.length > 0) {
        command.error('error: either ids of deliveries, or --since and what narrows it down', { code: 'parley.redeliver' })
      }
      return asOperator(configOf(command), async (call) => {
        for (const id of ids) print(await call<Delivery>('POST', `${pathOf(id)}/redeliver`))
        if (filter.since === undefined) return
        const count = await redeliverFailed(call, parametersOf(filter))
        console.log(`${count} ${count === 1 ? 'delivery is' : 'deliveries are'} sent once more`)
      })
    })
}

interface Batch {
  readonly redelivered: number
  readonly until: string
  readonly next_after: string | null
}

/** Sends what has failed once more, batch after batch. Returns how many. */
async function redeliverFailed(call: Call, choice: Readonly<Record<string, string>>): Promise<number> {
  let count = 0
  let batch: Batch | null = null
  do {
    // What comes meanwhile is not meant.
    const place: object = batch === null ? {} : { until: batch.until, after: batch.next_after }
    batch = await call<Batch>('POST', '/deliveries/redeliver', { ...choice, ...place })
    count += batch.redelivered
  } while (batch.next_after !== null)
  return count
}

export function withFilter(command: Command): Command {
  return command
    .option('--service <sid>', 'only those of a service')
    .option('--conversation <sid>', 'only those about a conversation or user')
}

/** The filters of a command that looks at many. */
function withMoreFilters(command: Command): Command {
  return command
    .option('--account <sid>', 'only those of an account')
    .option('--event <name>', 'only those of an event, such as onMessageAdded')
    .option('--target <sid>', 'only those to an account, service, webhook, channel or credential')
    .option('--text <text>', 'only those with this text in what is sent')
}

/** Returns what is given of a filter, by the parameters of the operator's API. */
function parametersOf(filter: Filter): Record<string, string> {
  const known = Object.entries(parameters) as [keyof Filter, string][]
  return Object.fromEntries(
    known.flatMap(([option, parameter]) => {
      const value = filter[option]
      return value === undefined ? [] : [[parameter, value]]
    }),
  )
}

/** Reads the log, newest first, in pages of at most `size`. */
export async function* pagesOf(call: Call, filter: Filter, size = pageSize): AsyncIterable<Delivery[]> {
  const query = new URLSearchParams({ ...parametersOf(filter), limit: String(Math.min(size, pageSize)) })
  for (;;) {
    const { deliveries, next_before } = await call<Page>('GET', `/deliveries?${query}`)
    yield deliveries
    if (next_before === null) return
    query.set('before', next_before)
  }
}

/** Returns the path of a delivery. */
export function pathOf(id: string): string {
  return `/deliveries/${encodeURIComponent(id)}`
}

function print(delivery: Delivery, json?: true): void {
  if (json) {
    console.log(printable(JSON.stringify(delivery)))
    return
  }
  const { id, date_created, status, event_type, subject_sid, url, attempts } = delivery
  const last = attempts.at(-1)
  printRow(id, date_created, status, event_type, subject_sid, last ? (last.status ?? last.error) : null, url)
}

function positiveInteger(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('It must be a whole number above 0.')
  }
  return value
}
