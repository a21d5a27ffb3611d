import { Command } from 'commander'
import { onServer } from './operator.ts'
import { configOf, withSettings } from './settings.ts'

interface Options {
  readonly from: string
  readonly to: string[]
  readonly body?: string
  readonly media?: string
  readonly attributes?: string
  readonly profileName?: string
  readonly account?: string
}

interface Received {
  conversation_sid: string
  participant_sid: string
  message_sid: string
  created: boolean
}

/** `parley inbound`: hands the running server a message, as the endpoint of a channel does. */
export function inboundCommand(): Command {
  return withSettings(new Command('inbound').description('hand in a message from a person with an address, as a channel does'))
    .requiredOption('--from <address>', 'address of the sender, such as +15551234567')
    .requiredOption('--to <address...>', 'proxy address that received it; several numbers for a group MMS')
    .option('--body <text>', 'text of the message')
    .option('--media <sid>', 'SID of an uploaded file')
    .option('--attributes <json>', 'attributes of the message')
    .option('--profile-name <name>', 'name of the sender in the channel')
    .option('--account <sid>', 'SID of the account (default: the first account)')
    .action((_options, command: Command) =>
      onServer(configOf(command), async (call) => {
        const received = await call<Received>('POST', '/inbound', bodyOf(command.opts<Options>()))
        console.log(`conversation  ${received.conversation_sid}${received.created ? '  (created)' : ''}`)
        console.log(`participant   ${received.participant_sid}`)
        console.log(`message       ${received.message_sid}`)
      }),
    )
}

function bodyOf({ from, to, body, media, attributes, profileName, account }: Options): object {
  return {
    from,
    to: to.length === 1 ? to[0] : to,
    ...(body !== undefined && { body }),
    ...(media !== undefined && { media: [media] }),
    ...(attributes !== undefined && { attributes }),
    ...(profileName !== undefined && { profile_name: profileName }),
    ...(account !== undefined && { account_sid: account }),
  }
}
