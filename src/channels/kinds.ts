import type { ChannelKind } from './adapter.ts'
import { loopback } from './loopback.ts'
import type { SettingValues } from './settings.ts'
import { webhook } from './webhook.ts'

/** A kind whose settings are known by name only. */
export type AnyKind = ChannelKind<SettingValues>

/** Every kind of channel. Shown and documented in this order. */
export const kinds: readonly AnyKind[] = [webhook, loopback]

/** Returns the kind of that name; undefined when there is none, in this version. */
export function kindByName(name: string): AnyKind | undefined {
  return kinds.find((kind) => kind.name === name)
}
