import { Command, InvalidArgumentError } from 'commander'
import { asOperator } from './operator.ts'
import { configOf, withSettings } from './settings.ts'

interface Options {
  readonly account?: string
  readonly service?: string
  readonly pushCredential?: string
  readonly lifetime?: number
}

/** `parley token <identity>`: prints an access token for a client SDK. */
export function tokenCommand(): Command {
  return withSettings(new Command('token').description('create an access token for a client SDK'))
    .argument('<identity>', 'who the bearer is')
    .option('--account <sid>', 'SID of the account (default: the first account)')
    .option('--service <sid>', 'SID of the conversation service (default: the default service of the account)')
    .option('--push-credential <sid>', 'SID of the credential by which its devices are notified')
    .option('--lifetime <seconds>', 'how long it is valid (default: 3600)', seconds)
    .action((identity: string, options: Options, command: Command) =>
      asOperator(configOf(command), async (call) => {
        const { account: account_sid, service: service_sid, pushCredential: push_credential_sid, lifetime } = options
        const asked = { identity, account_sid, service_sid, push_credential_sid, lifetime }
        const { token } = await call<{ token: string }>('POST', '/tokens', asked)
        console.log(token)
      }),
    )
}

function seconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number of seconds.')
  return Number(text)
}
