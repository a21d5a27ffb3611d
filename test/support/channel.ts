import { expect } from 'vitest'
import type { Tenant } from './tenant.ts'

/** A conversation with somebody behind a proxy address. */
export async function conversationOver(tenant: Tenant, proxy: string, address: string) {
  const { sid } = (await tenant.call('POST', '/v1/Conversations', {})).body
  const path = `/v1/Conversations/${sid}`
  const binding = { 'MessagingBinding.Address': address, 'MessagingBinding.ProxyAddress': proxy }
  expect((await tenant.call('POST', `${path}/Participants`, binding)).status).toBe(201)
  return {
    path,
    say: async (form: Record<string, string>) =>
      `${path}/Messages/${(await tenant.call('POST', `${path}/Messages`, form)).body.sid}`,
    messages: async () => (await tenant.call('GET', `${path}/Messages`)).body.messages,
  }
}

export const receiptsOf = async (tenant: Tenant, message: string) =>
  (await tenant.call('GET', `${message}/Receipts`)).body.delivery_receipts
export const settled = (tenant: Tenant, message: string, ...expected: object[]) =>
  expect.poll(() => receiptsOf(tenant, message)).toMatchObject(expected)

/** Messages to an address open conversations. */
export const autoCreate = (tenant: Tenant, Address: string, Type: string) =>
  tenant.call('POST', '/v1/Configuration/Addresses', {
    Type,
    Address,
    'AutoCreation.Enabled': 'true',
    'AutoCreation.Type': 'default',
  })
