import { secretFile } from '../config.ts'
import type { Installation } from '../installation/open.ts'

/** What whoever makes an installation has to know; nothing later on. */
export function firstStart({ account, admin_token, config }: Installation): string[] {
  if (!account.made) return []
  const file = secretFile(config, 'admin-token')
  return [
    'First start. These are kept; the auth token is shown this once:',
    `  account sid     ${account.sid}`,
    `  auth token      ${account.made.auth_token}`,
    `  operator token  ${file === null ? admin_token : `in ${file}`}`,
  ]
}
