import { Command } from 'commander'
import { onServer } from './operator.ts'
import { configOf, withSettings } from './settings.ts'

interface Options {
  readonly from: string
  readonly to: string[]
  readonly body?: string
  readonly media?: string[]
  readonly subject?: string
  readonly externalId?: string
  readonly attributes?: string
  readonly profileName?: string
  readonly account?: string
}

interface Received {
  conversation_sid: string
  participant_sid: string
  message_sid: string
  created: boolean
  duplicate: boolean
}

/** `parley inbound`: hands the running server a message, as the endpoint of a channel does. */
export function inboundCommand(): Command {
  return withSettings(new Command('inbound').description('hand in a message from a person with an address, as a channel does'))
    .requiredOption('--from <address>', 'address of the sender, such as +15551234567')
    .requiredOption('--to <address...>', 'proxy address that received it; several numbers for a group MMS')
    .option('--body <text>', 'text of the message')
    .option('--subject <text>', 'subject of a mail')
    .option('--media <sid or url...>', 'SIDs of uploaded files, or URLs from which they are fetched')
    .option('--external-id <id>', 'how the carrier calls it: a message that was received under it already is not received again')
    .option('--attributes <json>', 'attributes of the message')
    .option('--profile-name <name>', 'name of the sender in the channel')
    .option('--account <sid>', 'SID of the account (default: the first account)')
    .action((_options, command: Command) =>
      onServer(configOf(command), async (call) => {
        const received = await call<Received>('POST', '/inbound', bodyOf(command.opts<Options>()))
        console.log(
          `conversation  ${received.conversation_sid}${received.created ? '  (created)' : ''}${received.duplicate ? '  (received before)' : ''}`,
        )
        console.log(`participant   ${received.participant_sid}`)
        console.log(`message       ${received.message_sid}`)
      }),
    )
}

function bodyOf({ from, to, subject, body, media, externalId, attributes, profileName, account }: Options): object {
  return {
    from,
    to: to.length === 1 ? to[0] : to,
    ...(body !== undefined && { body }),
    ...(subject !== undefined && { subject }),
    ...(media !== undefined && { media: media.map((one) => (/^https?:/i.test(one) ? { url: one } : one)) }),
    ...(externalId !== undefined && { external_id: externalId }),
    ...(attributes !== undefined && { attributes }),
    ...(profileName !== undefined && { profile_name: profileName }),
    ...(account !== undefined && { account_sid: account }),
  }
}
