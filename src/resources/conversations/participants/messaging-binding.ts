import { refuse } from '../../../errors.ts'
import type { ParticipantRow } from '../../../storage/schema.ts'
import { addressType, canonicalAddress, proxyType } from '../address-formats.ts'

/** The parameters of a request that identify a participant and their addresses. */
export interface Given {
  readonly Identity?: string | null
  readonly 'MessagingBinding.Address'?: string | null
  readonly 'MessagingBinding.ProxyAddress'?: string | null
  readonly 'MessagingBinding.ProjectedAddress'?: string | null
  readonly 'MessagingBinding.Type'?: string | null
  readonly 'MessagingBinding.Level'?: string | null
  readonly 'MessagingBinding.Name'?: string | null
}

/** The addresses of a participant; all null for a chat participant. */
export type Binding = Pick<
  ParticipantRow,
  'binding_type' | 'address' | 'address_as_given' | 'binding_level' | 'binding_name' | 'proxy_address' | 'projected_address'
>

const noBinding: Binding = {
  binding_type: null,
  address: null,
  address_as_given: null,
  binding_level: null,
  binding_name: null,
  proxy_address: null,
  projected_address: null,
}

/** Whether it has no address at all. */
export function isPlainChat(binding: Binding): boolean {
  return binding.binding_type === null
}

/**
 * Returns the binding of a new participant. Throws unless there is one of: an identity, perhaps with a projected address; an address,
 * with its proxy address or as a native member of a group MMS; a projected address alone, which an identity may take over later.
 */
export function newBinding(p: Given): Binding {
  const address = p['MessagingBinding.Address']
  const proxy_address = p['MessagingBinding.ProxyAddress']
  const projected_address = p['MessagingBinding.ProjectedAddress'] ?? null
  if (p.Identity && (address || proxy_address)) throw refuse('identityNotAcceptable')
  // observed: nobody has both.
  if (address && projected_address !== null) throw refuse('invalidBindingAddress')
  if (address && isMail(p, address)) return mailBinding(p, address)
  if (p['MessagingBinding.Level'] || p['MessagingBinding.Name']) throw refuse('bindingParametersNotSupported')
  if (projected_address !== null && proxy_address === undefined)
    return { ...noBinding, binding_type: 'sms', projected_address: projected(projected_address) }
  if (p.Identity) return noBinding
  if (address === undefined && proxy_address === undefined) throw refuse('identityNotProvided')
  if (!address) throw refuse('emptyAddress')
  const binding_type = addressType(address)
  if (!binding_type) throw refuse('invalidBindingAddress')
  if (proxy_address === undefined) {
    // Only SMS has groups.
    if (binding_type !== 'sms') throw refuse('emptyProxyAddress')
    return { ...noBinding, binding_type, address }
  }
  if (!proxy_address) throw refuse('emptyProxyAddress')
  return { ...noBinding, binding_type, address, proxy_address: checkedProxy(address, binding_type, proxy_address) }
}

/** Throws when a type is given that contradicts the format of the address. */
function isMail({ 'MessagingBinding.Type': type }: Given, address: string): boolean {
  const byFormat = addressType(address) === 'email'
  if (type && (type.toLowerCase() === 'email') !== byFormat) throw refuse('invalidBindingAddress')
  return byFormat
}

/** observed: a mail participant has no proxy address, the conversation's mail address takes its place. */
function mailBinding(p: Given, given: string): Binding {
  if (p['MessagingBinding.ProxyAddress']) throw refuse('proxyNotSupported')
  const address = canonicalAddress(given)
  return {
    ...noBinding,
    binding_type: 'email',
    address,
    address_as_given: address === given ? null : given,
    binding_level: p['MessagingBinding.Level']?.toLowerCase() === 'cc' ? 'cc' : 'to',
    binding_name: p['MessagingBinding.Name'] ?? null,
  }
}

function checkedProxy(address: string, binding_type: string, proxy_address: string): string {
  if (proxy_address === address) throw refuse('equalAddresses')
  const type = proxyType(proxy_address)
  if (!type) throw refuse('invalidProxyAddress')
  if (type !== binding_type) throw refuse('addressTypeMismatch')
  return proxy_address
}

function projected(address: string): string {
  if (addressType(address) !== 'sms') throw refuse('invalidBindingAddress')
  return address
}

/** An identity takes a projected address over, from nobody or from another identity (documented: so agents are transferred). */
export function changedIdentity(before: ParticipantRow, p: Given): Partial<ParticipantRow> {
  if (!p.Identity) return {}
  if (before.address !== null) throw refuse('identityNotAcceptable')
  if (before.projected_address === null) throw refuse('identityNotAdded')
  return { identity: p.Identity }
}

/** observed: the current proxy address is refused, too. */
export function changedProxy(before: ParticipantRow, p: Given): Partial<ParticipantRow> {
  const proxy_address = p['MessagingBinding.ProxyAddress']
  if (proxy_address === undefined) return {}
  if (proxy_address === null) {
    if (before.proxy_address === null) throw refuse('proxyNotRemoved')
    return { proxy_address: null }
  }
  if (before.binding_type === 'email') throw refuse('proxyNotSupported')
  if (before.address === null || before.binding_type === null || before.proxy_address !== null) throw refuse('proxyNotAdded')
  return { proxy_address: checkedProxy(before.address, before.binding_type, proxy_address) }
}

export function changedProjection(before: ParticipantRow, p: Given): Partial<ParticipantRow> {
  const projected_address = p['MessagingBinding.ProjectedAddress']
  if (projected_address === undefined) return {}
  if (projected_address === null) {
    // Without either there would be nobody left.
    const identity = p.Identity ?? before.identity
    if (before.projected_address === null || identity === null) throw refuse('projectionNotRemoved')
    return { projected_address: null, binding_type: null }
  }
  if (before.binding_type !== null) throw refuse('projectionNotAdded')
  return { projected_address: projected(projected_address), binding_type: 'sms' }
}

/** The columns of a binding, and of its conversion to JSON. */
export const bindingColumns = [
  'binding_type',
  'address',
  'address_as_given',
  'binding_level',
  'binding_name',
  'proxy_address',
  'projected_address',
] as const satisfies readonly (keyof ParticipantRow)[]

export function bindingToJson(row: Pick<ParticipantRow, (typeof bindingColumns)[number]>): object | null {
  if (row.binding_type === null) return null
  const address = row.address_as_given ?? row.address
  return {
    type: row.binding_type,
    ...(address !== null && { address }),
    ...(row.binding_level !== null && { level: row.binding_level, name: row.binding_name }),
    ...(row.proxy_address !== null && { proxy_address: row.proxy_address }),
    ...(row.projected_address !== null && { projected_address: row.projected_address }),
  }
}
