import { isJsonObject, parseJsonObject } from './json.ts'

export const operatorRoles = ['viewer', 'support', 'admin', 'auditor'] as const
export type OperatorRole = (typeof operatorRoles)[number]

/** What the members of a group of an OpenID provider may do. */
export interface GroupRole {
  readonly group: string
  readonly role: OperatorRole
  /** Whether a viewer sees texts of messages. */
  readonly text: boolean
  /** SIDs of the accounts that there are for them; null: all. */
  readonly accounts: readonly string[] | null
}

const fields = ['role', 'text', 'accounts']

/** Parses a JSON object of groups, each with its role or with `role`, `text` and `accounts`. Returns what is wrong, as the end of a sentence. */
export function groupRolesOf(json: string): readonly GroupRole[] | string {
  const groups = parseJsonObject(json)
  if (!groups || Object.keys(groups).length === 0) {
    return 'must be a JSON object with a role for each group, such as {"admins":"admin"}'
  }
  const all: GroupRole[] = []
  for (const [group, given] of Object.entries(groups)) {
    const parsed = groupRoleOf(group, given)
    if (typeof parsed === 'string') return parsed
    all.push(parsed)
  }
  return all
}

function groupRoleOf(group: string, given: unknown): GroupRole | string {
  const values = typeof given === 'string' ? { role: given } : given
  const at = `has for the group ${JSON.stringify(group)}`
  if (!isJsonObject(values) || Object.keys(values).some((name) => !fields.includes(name))) {
    return `${at} neither a role nor an object with role, text and accounts`
  }
  const { role: name, text = false, accounts = null } = values
  const role = operatorRoles.find((each) => each === name)
  if (role === undefined) return `${at} a role that is none of ${operatorRoles.join(', ')}`
  if (typeof text !== 'boolean') return `${at} a text that is neither true nor false`
  if (accounts !== null && !isListOfAccounts(accounts)) return `${at} accounts that are no list of account SIDs`
  return { group, role, text, accounts }
}

function isListOfAccounts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((sid) => typeof sid === 'string' && /^AC[0-9a-f]{32}$/.test(sid))
}
