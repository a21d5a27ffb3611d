import { randomUUID } from 'node:crypto'
import { newSid } from '../../src/sids.ts'
import type { BindingRow } from '../../src/storage/schema.ts'
import type { FileServer } from './file-server.ts'
import type { Tenant } from './tenant.ts'

type Given = Partial<BindingRow> & Pick<BindingRow, 'service_sid'>

/** As if a device had registered itself for push: no request makes a binding. */
export async function registerBinding(server: FileServer, tenant: Tenant, given: Given): Promise<string> {
  const now = server.clock.now()
  const row: BindingRow = {
    sid: newSid('binding', now),
    account_sid: tenant.account_sid,
    identity: 'alice',
    endpoint: `${given.identity ?? randomUUID()}-endpoint`,
    binding_type: 'fcm',
    credential_sid: `CR${'c'.repeat(32)}`,
    message_types: '["new_message"]',
    date_created: now,
    date_updated: now,
    revision: 1,
    ...given,
  }
  await server.insert('bindings', row)
  return row.sid
}
