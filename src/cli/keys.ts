import { Command } from 'commander'
import { asOperator } from './operator.ts'
import { configOf, withSettings } from './settings.ts'

interface Key {
  sid: string
  friendly_name: string
  date_created: string
  secret?: string
}

/** `parley keys …`: lists, makes, rotates and deletes the API keys of an account. */
export function keysCommand(): Command {
  const keys = new Command('keys').description('list, create, rotate or delete the API keys of an account')
  keys.addCommand(
    withSettings(new Command('list').description('show the keys of an account'))
      .argument('<account>', 'sid of the account')
      .action((account: string, _options, command: Command) =>
        asOperator(configOf(command), async (ask) => {
          const { keys: all } = (await ask('GET', `/accounts/${account}/keys`)) as { keys: Key[] }
          for (const { sid, date_created, friendly_name } of all) console.log(`${sid}  ${date_created}  ${friendly_name}`)
        }),
      ),
  )
  keys.addCommand(
    withSettings(new Command('create').description('make a key; its secret is shown this once'))
      .argument('<account>', 'sid of the account')
      .argument('[name]', 'a name for people', '')
      .action((account: string, name: string, _options, command: Command) =>
        asOperator(configOf(command), async (ask) => {
          const { sid, secret } = (await ask('POST', `/accounts/${account}/keys`, { friendly_name: name })) as Key
          console.log(`key sid  ${sid}\nsecret   ${secret}`)
        }),
      ),
  )
  keys.addCommand(
    withSettings(new Command('rotate').description('give a key a new secret; the old one stops working at once'))
      .argument('<account>', 'sid of the account')
      .argument('<key>', 'sid of the key')
      .action((account: string, key: string, _options, command: Command) =>
        asOperator(configOf(command), async (ask) => {
          const { secret } = (await ask('POST', `/accounts/${account}/keys/${key}/rotate`)) as Key
          console.log(`secret   ${secret}`)
        }),
      ),
  )
  keys.addCommand(
    withSettings(new Command('delete').description('delete a key; it stops working at once'))
      .argument('<account>', 'sid of the account')
      .argument('<key>', 'sid of the key')
      .action((account: string, key: string, _options, command: Command) =>
        asOperator(configOf(command), async (ask) => {
          await ask('DELETE', `/accounts/${account}/keys/${key}`)
          console.log(`${key} is deleted`)
        }),
      ),
  )
  return keys
}
