import { secretFile } from '../config.ts'
import type { Installation } from '../installation/open.ts'

/** Returns the lines that show a new installation's credentials; none once they have been shown. */
export function firstStartNotice({ account, admin_token, config }: Installation): string[] {
  if (account.unshown_token === null) return []
  const file = secretFile(config, 'admin-token')
  return [
    'First start: the first account has been created. Its auth token is shown only once:',
    `  account SID     ${account.sid}`,
    `  auth token      ${account.unshown_token}`,
    `  operator token  ${file === null ? admin_token : `in ${file}`}`,
  ]
}
