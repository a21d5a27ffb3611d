import { Command } from 'commander'
import { ConfigError } from '../config-error.ts'
import { givenText } from './given.ts'
import { asOperator, onServer } from './operator.ts'
import type { Call } from './server.ts'
import { configOf, withSettings } from './settings.ts'
import { printRow } from './terminal.ts'

interface Channel {
  sid: string
  proxy_address: string
  kind: string
  settings: Readonly<Record<string, unknown>>
}

interface Kind {
  name: string
  description: string
  settings: {
    name: string
    description: string
    required: boolean
    secret: boolean
    schema: { type: 'string' | 'boolean' | 'integer' }
  }[]
}

interface SetOptions {
  readonly kind?: string
  readonly setting?: readonly string[]
}

/** `parley channels …`: lists, sets, checks and deletes the channels of addresses. */
export function channelsCommand(): Command {
  const channels = new Command('channels').description('list, set, check or delete the channels of addresses')
  const command = (name: string, description: string) => withSettings(new Command(name).description(description))
  const ofAccount = (one: Command) => one.argument('<account>', 'SID of the account')
  const ofAddress = (one: Command) => ofAccount(one).argument('<address>', 'such as +15557654321 or support@example.com')

  channels.addCommand(
    ofAccount(command('list', 'list the channels of an account')).action((account: string, _options, command: Command) =>
      asOperator(configOf(command), async (call) => {
        const { channels: all } = await call<{ channels: Channel[] }>('GET', pathOf(account))
        if (all.length === 0) console.error('no channels')
        for (const channel of all) print(channel)
      }),
    ),
  )
  channels.addCommand(
    command('kinds', 'list the kinds of channels and their settings').action((_options, command: Command) =>
      asOperator(configOf(command), async (call) => {
        for (const { name, description, settings } of await kindsOf(call)) {
          printRow(name, description)
          for (const setting of settings) {
            const notes = [...(setting.required ? ['required'] : []), ...(setting.secret ? ['secret'] : [])].join(', ')
            printRow(`  ${setting.name}`, setting.description, notes)
          }
        }
      }),
    ),
  )
  channels.addCommand(
    ofAddress(command('set', 'set the channel that sends the messages from an address'))
      .argument('[url]', 'of the kind webhook: http or https URL of the endpoint; it may contain a user name and password')
      .option('--kind <kind>', 'kind of the channel, see: parley channels kinds')
      .option('--setting <name=value...>', 'a setting of the kind; name=@file reads it from a file, as a secret should be')
      .action((account: string, address: string, url: string | undefined, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const body = await bodyOf(call, url, command.opts<SetOptions>())
          print(await call<Channel>('PUT', pathOf(account, address), body))
        }),
      ),
  )
  channels.addCommand(
    ofAddress(command('check', 'ask the provider whether the settings of a channel work')).action(
      (account: string, address: string, _options, command: Command) =>
        onServer(configOf(command), async (call) => {
          const { ok, says } = await call<{ ok: boolean; says: string }>('POST', `${pathOf(account, address)}/check`)
          console.log(`${ok ? 'works' : 'does not work'}: ${says}`)
          if (!ok) process.exitCode = 1
        }),
    ),
  )
  channels.addCommand(
    ofAddress(command('delete', 'delete a channel; messages from its address fail from then on')).action(
      (account: string, address: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          await call('DELETE', pathOf(account, address))
          console.log(`the channel of ${address} is deleted`)
        }),
    ),
  )
  return channels
}

function print({ sid, proxy_address, kind, settings }: Channel): void {
  const shown = Object.entries(settings).filter(([, value]) => value !== null)
  printRow(sid, proxy_address, kind, ...shown.map(([name, value]) => `${name}=${value}`))
}

async function kindsOf(call: Call): Promise<Kind[]> {
  return (await call<{ kinds: Kind[] }>('GET', '/channel-kinds')).kinds
}

/** Returns the body of the request. Settings are texts on a command line: the kind says which of them stand for something else. */
async function bodyOf(call: Call, url: string | undefined, { kind, setting = [] }: SetOptions): Promise<object> {
  if (kind === undefined && setting.length === 0) return url === undefined ? {} : { url }
  const declared = (await kindsOf(call)).find(({ name }) => name === (kind ?? 'webhook'))?.settings ?? []
  const given = setting.map((text) => {
    const [name = '', ...rest] = text.split('=')
    if (rest.length === 0) throw new ConfigError(`--setting takes name=value, not ${name}`)
    const schema = declared.find((one) => one.name === name)?.schema
    return [name, parsedValue(givenText(rest.join('=')), schema?.type)]
  })
  return { kind: kind ?? 'webhook', settings: { ...(url !== undefined && { url }), ...Object.fromEntries(given) } }
}

/** A text that is none of its type stays one: the server says what is wrong with it. */
function parsedValue(text: string, type: 'string' | 'boolean' | 'integer' | undefined): unknown {
  if (type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true'
  return type === 'integer' && /^-?\d+$/.test(text) ? Number(text) : text
}

function pathOf(account: string, ...address: string[]): string {
  return ['/accounts', account, 'channels', ...address].map((part, at) => (at === 0 ? part : encodeURIComponent(part))).join('/')
}
