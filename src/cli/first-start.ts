import { secretFile } from '../data-folders.ts'
import type { Installation } from '../installation/open.ts'

interface FirstStart {
  readonly account_sid: string
  /** The token, or by what it was given: what the operator knows already is not shown, since standard output is often kept as a log. */
  readonly auth_token: string
  /** The token, or where it is. */
  readonly operator_token: string
}

/** Returns a new installation's credentials; null once they have been shown. */
export function firstStart({ account, adminToken, config }: Installation): FirstStart | null {
  const { sid, unshownToken, tokenGivenBy } = account
  if (unshownToken === null) return null
  const file = secretFile(config, 'admin-token')
  return {
    account_sid: sid,
    auth_token: tokenGivenBy === null ? unshownToken : `as given by ${tokenGivenBy}`,
    operator_token: config.adminToken !== null ? 'as given by PARLEY_ADMIN_TOKEN' : file === null ? adminToken : `in ${file}`,
  }
}

/** Returns what is said of a first start. */
export function firstStartSentence({ account }: Installation): string {
  return `First start: the first account has been created.${account.tokenGivenBy === null ? ' Its auth token is shown only once' : ''}`
}

/** Returns the lines that show a new installation's credentials; none once they have been shown. */
export function firstStartNotice(installation: Installation): string[] {
  const first = firstStart(installation)
  if (!first) return []
  const sentence = firstStartSentence(installation)
  return [
    sentence.endsWith('.') ? sentence : `${sentence}:`,
    `  account SID     ${first.account_sid}`,
    `  auth token      ${first.auth_token}`,
    `  operator token  ${first.operator_token}`,
  ]
}
