import { secretFile } from '../config.ts'
import type { Installation } from '../installation/open.ts'

/**
 * Returns the lines that show a new installation's credentials; none once they have been shown. Those that the operator has given
 * are known already, and standard output is often kept as a log.
 */
export function firstStartNotice({ account, adminToken, config }: Installation): string[] {
  if (account.unshownToken === null) return []
  const file = secretFile(config, 'admin-token')
  const { tokenGivenBy } = account
  return [
    `First start: the first account has been created.${tokenGivenBy === null ? ' Its auth token is shown only once:' : ''}`,
    `  account SID     ${account.sid}`,
    `  auth token      ${tokenGivenBy === null ? account.unshownToken : `as given by ${tokenGivenBy}`}`,
    `  operator token  ${config.adminToken !== null ? 'as given by PARLEY_ADMIN_TOKEN' : file === null ? adminToken : `in ${file}`}`,
  ]
}
