import { refuse } from '../errors.ts'
import { serviceOfAccount } from '../storage/lookups.ts'
import type { ServiceRow } from '../storage/schema.ts'
import type { ClientCall } from './call.ts'
import type { View } from './sync/changes.ts'

interface ServiceOf {
  readonly pipeline: Pick<ClientCall['pipeline'], 'read'>
  readonly session: { readonly service_sid: string; readonly account_sid: string }
}

/** Reads the service of a client. Throws when it is gone: its connections are about to end. */
export async function serviceOf({ pipeline, session }: ServiceOf): Promise<ServiceRow> {
  const { service_sid, account_sid } = session
  const service = await pipeline.read.one(serviceOfAccount, { sid: service_sid, account_sid })
  if (!service) throw refuse('notFound', { path: '' })
  return service
}

/** Returns what a request of a client reads from. */
export async function viewFor(call: Pick<ClientCall, 'pipeline' | 'session'>): Promise<View> {
  const { pipeline, session } = call
  return { read: pipeline.read, service: await serviceOf(call), now: pipeline.clock.now(session.account_sid) }
}
