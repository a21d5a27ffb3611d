import { Command } from 'commander'
import { ConfigError } from '../config-error.ts'
import { parseJsonObject } from '../json.ts'
import { givenText } from './given.ts'
import { asOperator } from './operator.ts'
import { configOf, withSettings } from './settings.ts'
import { printRow } from './terminal.ts'

interface Key {
  sid: string
  friendly_name: string
  type: 'standard' | 'restricted'
  date_created: string
}

interface Permission {
  permission: string
  operations: string[]
}

/** `parley keys …`: lists, creates, rotates and deletes the API keys of an account. */
export function keysCommand(): Command {
  const keys = new Command('keys').description('list, create, rotate or delete the API keys of an account')
  keys.addCommand(
    withSettings(new Command('list').description('list the API keys of an account'))
      .argument('<account>', 'SID of the account')
      .action((account: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const { keys: all } = await call<{ keys: Key[] }>('GET', `/accounts/${encodeURIComponent(account)}/keys`)
          for (const { sid, date_created, type, friendly_name } of all) printRow(sid, date_created, type, friendly_name)
        }),
      ),
  )
  keys.addCommand(
    withSettings(new Command('create').description('create an API key; its secret is shown only once'))
      .argument('<account>', 'SID of the account')
      .argument('[name]', 'friendly name of the API key', '')
      .option('--sid <sid>', 'SID that it has elsewhere')
      .option('--secret <secret>', 'secret that it has elsewhere; @file reads it from a file, as a secret should be')
      .option(
        '--policy <policy>',
        'what a restricted key may do: permissions with commas between them, or @file with a policy, JSON',
      )
      .action((account: string, name: string, _options, command: Command) => {
        const given = command.opts<{ sid?: string; secret?: string; policy?: string }>()
        const policy = given.policy === undefined ? undefined : policyOf(givenText(given.policy))
        const givenSecret = given.secret === undefined ? undefined : givenText(given.secret)
        return asOperator(configOf(command), async (call) => {
          const body = { friendly_name: name, sid: given.sid, secret: givenSecret, policy }
          const { sid, secret } = await call<{ sid: string; secret: string }>(
            'POST',
            `/accounts/${encodeURIComponent(account)}/keys`,
            body,
          )
          console.log(`API key SID  ${sid}\nsecret       ${givenSecret === undefined ? secret : 'as given'}`)
        })
      }),
  )
  keys.addCommand(
    withSettings(new Command('rotate').description('replace the secret of an API key; the old one stops working at once'))
      .argument('<account>', 'SID of the account')
      .argument('<key>', 'SID of the API key')
      .action((account: string, key: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const { secret } = await call<{ secret: string }>('POST', `${keyPath(account, key)}/rotate`)
          console.log(`secret       ${secret}`)
        }),
      ),
  )
  keys.addCommand(
    withSettings(new Command('delete').description('delete an API key; it stops working at once'))
      .argument('<account>', 'SID of the account')
      .argument('<key>', 'SID of the API key')
      .action((account: string, key: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          await call('DELETE', keyPath(account, key))
          console.log(`${key} is deleted`)
        }),
      ),
  )
  keys.addCommand(
    withSettings(
      new Command('permissions').description('list what a restricted API key can be allowed, and for which operations'),
    ).action((_options, command: Command) =>
      asOperator(configOf(command), async (call) => {
        const { permissions } = await call<{ permissions: Permission[] }>('GET', '/permissions')
        for (const { permission, operations } of permissions) printRow(permission, operations.join(', '))
      }),
    ),
  )
  return keys
}

/** Reads `/twilio/…,/twilio/…`, one a line, or `{"allow":["/twilio/…"]}`. Throws ConfigError. */
function policyOf(text: string): object {
  if (text.startsWith('{')) {
    const policy = parseJsonObject(text)
    if (!policy) throw new ConfigError('the policy is no JSON: it must be {"allow":["/twilio/…"]}')
    return policy
  }
  return { allow: text.split(/[\s,]+/).filter((permission) => permission !== '') }
}

function keyPath(account: string, key: string): string {
  return `/accounts/${encodeURIComponent(account)}/keys/${encodeURIComponent(key)}`
}
