import { proxyType } from '../resources/conversations/address-formats.ts'
import type { ChannelRow } from '../storage/schema.ts'
import type { Vault } from '../vault.ts'
import { type AnyKind, allKinds, kindByName } from './kinds.ts'
import { openSettings, parseSettings, SettingError, type SettingValues, sealSettings } from './settings.ts'
import { webhook } from './webhook.ts'

/** A channel as the operator gives it: a kind with its settings, or the URL of a webhook alone. */
export interface GivenChannel {
  readonly kind?: string | undefined
  readonly settings?: unknown
  readonly url?: string | undefined
}

type Stored = Pick<ChannelRow, 'kind' | 'settings'>

/** Returns what is stored of a new channel. Throws SettingError, a whole sentence. */
export function newChannel(given: GivenChannel, address: string, seal: Vault['seal']): Stored {
  return channelOf(given, address, seal, () => null)
}

/** The same for an address that may have a channel: of its secrets those are kept that are given masked. */
export function changedChannel(given: GivenChannel, address: string, vault: Vault, before: Stored | undefined): Stored {
  const seal = (secret: string) => vault.seal(secret)
  return channelOf(given, address, seal, (kind) =>
    before?.kind === kind.name ? openSettings(kind.settings, before.settings, (sealed) => vault.open(sealed)) : null,
  )
}

function channelOf(
  given: GivenChannel,
  address: string,
  seal: Vault['seal'],
  storedOf: (kind: AnyKind) => SettingValues | null,
): Stored {
  const { kind, values } = chosen(given, address)
  const settings = parsed(given, () => parseSettings(kind.settings, values, storedOf(kind)))
  const problem = kind.problem?.(settings)
  if (problem !== undefined) throw new SettingError(problem)
  return { kind: kind.name, settings: sealSettings(kind.settings, settings, seal) }
}

function chosen({ kind: name, settings, url }: GivenChannel, address: string) {
  const type = proxyType(address)
  if (!type) throw new SettingError(`${address} is not an address of a known format`)
  if (name === undefined && url === undefined) throw new SettingError('kind is required, or url alone')
  if (url !== undefined && (settings !== undefined || (name !== undefined && name !== webhook.name))) {
    throw new SettingError('url stands alone: with a kind, it is one of its settings')
  }
  const kind = kindByName(name ?? webhook.name)
  if (!kind) {
    const names = allKinds().map((known) => known.name)
    throw new SettingError(`kind must be one of ${names.join(', ')}`)
  }
  if (!kind.serves.includes(type)) throw new SettingError(`the kind ${kind.name} does not carry ${type}`)
  return { kind, values: url === undefined ? (settings ?? {}) : { url } }
}

/** Names the field that was given. */
function parsed<T>({ url }: GivenChannel, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (url === undefined || !(error instanceof SettingError)) throw error
    throw new SettingError(error.message.replace(/^settings\./, ''))
  }
}
