import { Command } from 'commander'
import { givenText } from './given.ts'
import { asOperator } from './operator.ts'
import { configOf, withSettings } from './settings.ts'
import { printRow } from './terminal.ts'

interface Account {
  sid: string
  friendly_name: string
  status: string
  date_created: string
}

/** `parley accounts …`: lists, creates, rotates, suspends and deletes accounts. */
export function accountsCommand(): Command {
  const accounts = new Command('accounts').description('list, create, rotate, suspend, resume or delete accounts')
  accounts.addCommand(
    withSettings(new Command('list').description('list all accounts')).action((_options, command: Command) =>
      asOperator(configOf(command), async (call) => {
        const { accounts: all } = await call<{ accounts: Account[] }>('GET', '/accounts')
        for (const { sid, status, date_created, friendly_name } of all) printRow(sid, status, date_created, friendly_name)
      }),
    ),
  )
  accounts.addCommand(
    withSettings(new Command('create').description('create an account; its auth token is shown only once'))
      .argument('[name]', 'friendly name of the account', '')
      .option('--sid <sid>', 'SID that it has elsewhere')
      .option('--token <token>', 'auth token that it has elsewhere; @file reads it from a file, as a secret should be')
      .action((name: string, _options, command: Command) => {
        const { sid: givenSid, token } = command.opts<{ sid?: string; token?: string }>()
        const auth_token = token === undefined ? undefined : givenText(token)
        return asOperator(
          configOf(command),
          async (call) => {
            const body = { friendly_name: name, sid: givenSid, auth_token }
            const created = await call<{ sid: string; auth_token: string }>('POST', '/accounts', body)
            const shown = auth_token === undefined ? created.auth_token : 'as given'
            console.log(`account SID  ${created.sid}\nauth token   ${shown}`)
          },
          { creates: true },
        )
      }),
  )
  accounts.addCommand(
    withSettings(new Command('rotate').description('replace the auth token of an account; the old one stops working at once'))
      .argument('<sid>', 'SID of the account')
      .action((sid: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const { auth_token } = await call<{ auth_token: string }>('POST', `/accounts/${encodeURIComponent(sid)}/rotate`)
          console.log(`auth token   ${auth_token}`)
        }),
      ),
  )
  for (const [verb, status, description] of [
    ['suspend', 'suspended', 'suspend an account: all of its requests are refused with 403'],
    ['resume', 'active', 'resume a suspended account'],
  ] as const) {
    accounts.addCommand(
      withSettings(new Command(verb).description(description))
        .argument('<sid>', 'SID of the account')
        .action((sid: string, _options, command: Command) =>
          asOperator(configOf(command), async (call) => {
            await call('POST', `/accounts/${encodeURIComponent(sid)}`, { status })
            console.log(`${sid} is ${status}`)
          }),
        ),
    )
  }
  accounts.addCommand(
    withSettings(new Command('delete').description('delete an account and everything in it'))
      .argument('<sid>', 'SID of the account')
      .action((sid: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          await call('DELETE', `/accounts/${encodeURIComponent(sid)}`)
          console.log(`${sid} is deleted`)
        }),
      ),
  )
  return accounts
}
