import { Command } from 'commander'
import { asOperator } from './operator.ts'
import type { Call } from './server.ts'
import { configOf, withSettings } from './settings.ts'
import { printRow } from './terminal.ts'

interface Token {
  id: string
  date_expires: string | null
  date_used: string | null
}

interface Operator {
  sid: string
  name: string
  role: string
  accounts: string[] | null
  tokens: Token[]
}

interface WithToken extends Operator {
  token: string
}

/** `parley operators …`: who may use the operator's API and the console by a token of their own. */
export function operatorsCommand(): Command {
  const operators = new Command('operators').description('list, create, rotate or delete operators, who have tokens of their own')
  operators.addCommand(
    withSettings(new Command('list').description('list the operators')).action((_options, command: Command) =>
      asOperator(configOf(command), async (call) => {
        for (const { sid, role, accounts, tokens, name } of await all(call)) {
          const used = tokens.flatMap(({ date_used }) => date_used ?? []).sort()
          printRow(sid, role, accounts?.join(',') ?? 'all accounts', used.at(-1) ?? 'never used', name)
        }
      }),
    ),
  )
  operators.addCommand(
    withSettings(new Command('create').description('create an operator; the token is shown only once'))
      .argument('<name>', 'name of the operator')
      .requiredOption('--role <role>', 'viewer, support, admin or auditor')
      .option('--text', 'let a viewer see the texts of messages')
      .option(
        '--accounts <sids>',
        'SIDs of the accounts that there are for the operator, with commas between them; by default all',
      )
      .option('--expires <date>', 'when the token ends, as an ISO 8601 date; by default never')
      .action((name: string, _options, command: Command) => {
        const { role, text, accounts, expires } = command.opts<{
          role: string
          text?: true
          accounts?: string
          expires?: string
        }>()
        return asOperator(configOf(command), async (call) => {
          const body = { name, role, text, accounts: accounts?.split(','), date_expires: expires }
          const { sid, token } = await call<WithToken>('POST', '/operators', body)
          console.log(`operator SID  ${sid}\ntoken         ${token}`)
        })
      }),
  )
  operators.addCommand(
    withSettings(new Command('rotate').description('give an operator another token; the old one stays valid until it is ended'))
      .argument('<operator>', 'SID or name of the operator')
      .option('--end-old', 'end the old token at once')
      .option('--expires <date>', 'when the new token ends, as an ISO 8601 date; by default never')
      .action((operator: string, _options, command: Command) => {
        const { endOld, expires } = command.opts<{ endOld?: true; expires?: string }>()
        return asOperator(configOf(command), async (call) => {
          const sid = await sidOf(call, operator)
          const body = { end_old: endOld ?? false, date_expires: expires }
          const { token } = await call<WithToken>('POST', `/operators/${encodeURIComponent(sid)}/rotate`, body)
          console.log(`token         ${token}`)
        })
      }),
  )
  operators.addCommand(
    withSettings(new Command('end-token').description('end a token of an operator; it is refused from the next request on'))
      .argument('<operator>', 'SID or name of the operator')
      .argument('<token>', 'id of the token: what is between plo_ and the next _')
      .action((operator: string, token: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const sid = await sidOf(call, operator)
          await call('DELETE', `/operators/${encodeURIComponent(sid)}/tokens/${encodeURIComponent(token)}`)
          console.log(`${token} is ended`)
        }),
      ),
  )
  operators.addCommand(
    withSettings(new Command('delete').description('delete an operator; their tokens and sessions end at once'))
      .argument('<operator>', 'SID or name of the operator')
      .action((operator: string, _options, command: Command) =>
        asOperator(configOf(command), async (call) => {
          const sid = await sidOf(call, operator)
          await call('DELETE', `/operators/${encodeURIComponent(sid)}`)
          console.log(`${sid} is deleted`)
        }),
      ),
  )
  return operators
}

async function all(call: Call): Promise<readonly Operator[]> {
  return (await call<{ operators: Operator[] }>('GET', '/operators')).operators
}

/** Returns the SID of the operator of that name; what is no name is taken for a SID. */
async function sidOf(call: Call, given: string): Promise<string> {
  return (await all(call)).find(({ name }) => name === given)?.sid ?? given
}
