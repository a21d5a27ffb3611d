import { Command } from 'commander'
import { asOperator } from './operator.ts'
import { configOf, withSettings } from './settings.ts'
import { printRow } from './terminal.ts'

interface Channel {
  sid: string
  proxy_address: string
  url: string
}

/** `parley channels …`: lists, sets and deletes the endpoints of messaging channels. */
export function channelsCommand(): Command {
  const channels = new Command('channels').description('list, set or delete the endpoints of messaging channels')
  channels.addCommand(
    withSettings(new Command('list').description('list the channels of an account'))
      .argument('<account>', 'SID of the account')
      .action((account: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const { channels: all } = await call<{ channels: Channel[] }>('GET', pathOf(account))
          if (all.length === 0) console.error('no channels')
          for (const { sid, proxy_address, url } of all) printRow(sid, proxy_address, url)
        }),
      ),
  )
  channels.addCommand(
    withSettings(new Command('set').description('set the endpoint that delivers the messages from a proxy address'))
      .argument('<account>', 'SID of the account')
      .argument('<address>', 'proxy address, such as +15557654321')
      .argument('<url>', 'http or https URL of the endpoint; it may contain a user name and password')
      .action((account: string, address: string, url: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const set = await call<Channel>('PUT', pathOf(account, address), { url })
          printRow(set.sid, set.proxy_address, set.url)
        }),
      ),
  )
  channels.addCommand(
    withSettings(new Command('delete').description('delete a channel; messages from its address are not sent any more'))
      .argument('<account>', 'SID of the account')
      .argument('<address>', 'proxy address of the channel')
      .action((account: string, address: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          await call('DELETE', pathOf(account, address))
          console.log(`the channel of ${address} is deleted`)
        }),
      ),
  )
  return channels
}

function pathOf(account: string, ...address: string[]): string {
  return ['/accounts', account, 'channels', ...address].map((part, at) => (at === 0 ? part : encodeURIComponent(part))).join('/')
}
