import { Command } from 'commander'
import { asOperator } from './operator.ts'
import { configOf, withSettings } from './settings.ts'

interface Account {
  sid: string
  friendly_name: string
  status: string
  date_created: string
  auth_token?: string
}

/** `parley accounts …`: lists, makes, rotates, suspends and deletes accounts. */
export function accountsCommand(): Command {
  const accounts = new Command('accounts').description('list, create, rotate, suspend, resume or delete accounts')
  accounts.addCommand(
    withSettings(new Command('list').description('show all accounts')).action((_options, command: Command) =>
      asOperator(configOf(command), async (ask) => {
        const { accounts: all } = (await ask('GET', '/accounts')) as { accounts: Account[] }
        for (const { sid, status, date_created, friendly_name } of all)
          console.log(`${sid}  ${status}  ${date_created}  ${friendly_name}`)
      }),
    ),
  )
  accounts.addCommand(
    withSettings(new Command('create').description('make an account; its auth token is shown this once'))
      .argument('[name]', 'a name for people', '')
      .action((name: string, _options, command: Command) =>
        asOperator(configOf(command), async (ask) => {
          const { sid, auth_token } = (await ask('POST', '/accounts', { friendly_name: name })) as Account
          console.log(`account sid  ${sid}\nauth token   ${auth_token}`)
        }),
      ),
  )
  accounts.addCommand(
    withSettings(new Command('rotate').description('give an account a new auth token; the old one stops working at once'))
      .argument('<sid>', 'the account')
      .action((sid: string, _options, command: Command) =>
        asOperator(configOf(command), async (ask) => {
          const { auth_token } = (await ask('POST', `/accounts/${sid}/rotate`)) as Account
          console.log(`auth token   ${auth_token}`)
        }),
      ),
  )
  for (const [verb, status, told] of [
    ['suspend', 'suspended', 'refuse every request of an account (403)'],
    ['resume', 'active', 'let a suspended account in again'],
  ] as const) {
    accounts.addCommand(
      withSettings(new Command(verb).description(told))
        .argument('<sid>', 'the account')
        .action((sid: string, _options, command: Command) =>
          asOperator(configOf(command), async (ask) => {
            await ask('POST', `/accounts/${sid}`, { status })
            console.log(`${sid} is ${status}`)
          }),
        ),
    )
  }
  accounts.addCommand(
    withSettings(new Command('delete').description('delete an account with everything in it'))
      .argument('<sid>', 'the account')
      .action((sid: string, _options, command: Command) =>
        asOperator(configOf(command), async (ask) => {
          await ask('DELETE', `/accounts/${sid}`)
          console.log(`${sid} is deleted`)
        }),
      ),
  )
  return accounts
}
