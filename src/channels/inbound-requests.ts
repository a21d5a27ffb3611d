import type { ChangeRequest } from '../model/change.ts'
import type { AnyResource, Inbound } from '../model/declare.ts'
import { formOf } from '../model/form.ts'
import { type Params, parseParams, sealSecrets } from '../model/params.ts'
import type { AutoCreation } from '../resources/configuration/address.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { openCredentials } from '../urls.ts'
import type { Vault } from '../vault.ts'
import { type Destination, isMail, type Parties } from './destination.ts'
import type { Incoming } from './incoming.ts'
import type { MailPerson } from './mail-destination.ts'

/** With the sender's name in the channel. */
export type NamedParties = Parties & Pick<Incoming, 'profile_name'>

/** With its media stored, by their SIDs. */
export type Stored = Omit<Incoming, 'media' | 'external'> & { readonly media: readonly string[] }

export type FormValues = Readonly<Record<string, string | string[]>>

export type RequestBuilder = (resource: AnyResource, sid: string, form: FormValues) => ChangeRequest

/** Returns a function that makes create requests from forms, as the API does, with the channel as source and webhooks enabled. */
export function requestBuilder(by: {
  vault: Vault
  parties: Parties
  service_sid: string
  conversation_sid: string
  source: string
  inbound: Inbound
}): RequestBuilder {
  const { vault, parties, service_sid, conversation_sid, source, inbound } = by
  return (resource, sid, form) => {
    const parents = resource === conversations ? [] : [conversation_sid]
    const text = [...parents.map((parent) => `/${conversations.path}/${parent}`), `/${resource.path}`].join('')
    const given = parseParams<Params>(resource.params, 'create', formOf(form))
    const params = sealSecrets(resource.params, given, (secret) => vault.seal(secret))
    const path = { account_sid: parties.account_sid, service_sid, parents, key: null, text }
    return { verb: 'create', path, params, sid, now: parties.now, webhooks: true, source, inbound }
  }
}

/** Returns the forms of the participants, the sender first: one with a proxy address, or the native and projected ones of a group. */
export function bindingsFor({ address, to, profile_name, mail }: NamedParties, configured: readonly string[]): FormValues[] {
  if (isMail(address)) return [{ address, level: 'to' as const, name: profile_name }, ...(mail?.others ?? [])].map(mailBinding)
  if (to.length === 1) return [{ 'MessagingBinding.Address': address, 'MessagingBinding.ProxyAddress': to[0] }]
  const others = to.map((number) =>
    configured.includes(number) ? { 'MessagingBinding.ProjectedAddress': number } : { 'MessagingBinding.Address': number },
  )
  return [{ 'MessagingBinding.Address': address }, ...others]
}

/** Returns the forms of those who join an open conversation by a mail, the sender first. */
export function joiningBindings(
  { participant_sid, joining = [] }: Extract<Destination, { kind: 'open' }>,
  { address, profile_name }: NamedParties,
): FormValues[] {
  const sender = participant_sid === null ? [{ address, level: 'to' as const, name: profile_name }] : []
  return [...sender, ...joining].map(mailBinding)
}

function mailBinding({ address, level, name }: MailPerson): FormValues {
  return {
    'MessagingBinding.Address': address,
    'MessagingBinding.Type': 'email',
    'MessagingBinding.Level': level,
    'MessagingBinding.Name': name ?? '',
  }
}

export function messageForm({ from, subject, body, media, attributes }: Stored): FormValues {
  return {
    Author: from,
    ...(subject !== null && { Subject: subject }),
    ...(body !== null && { Body: body }),
    ...(media.length > 0 && { MediaSid: [...media] }),
    ...(attributes !== null && { Attributes: attributes }),
  }
}

/** Returns the form of the webhook that the address configuration adds to new conversations; undefined if it adds none. */
export function webhookForm(auto: AutoCreation, vault: Vault): FormValues | undefined {
  if (auto.type === 'studio') return { Target: 'studio', 'Configuration.FlowSid': auto.studio_flow_sid ?? '' }
  if (auto.type === 'default') return undefined
  return {
    Target: 'webhook',
    'Configuration.Url': openCredentials(auto.webhook_url ?? '', (sealed) => vault.open(sealed)),
    // The conversation's own webhooks spell the method in lower case.
    'Configuration.Method': (auto.webhook_method ?? 'POST').toLowerCase(),
    'Configuration.Filters': [...(auto.webhook_filters ?? [])],
  }
}

/** Returns the channel metadata: what the channel says, else the sender's name where the vendor's channels put it. */
export function metadata(source: string, { metadata: data, profile_name }: Stored): string | null {
  if (data !== null) return JSON.stringify({ type: source.toLowerCase(), data })
  if (profile_name === null) return null
  return JSON.stringify({ type: source.toLowerCase(), data: { context: { ProfileName: profile_name } } })
}
