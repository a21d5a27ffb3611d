import type { ChannelKind } from './adapter.ts'
import { loopback } from './loopback.ts'
import type { SettingValues } from './settings.ts'
import { twilio } from './twilio/kind.ts'
import { webhook } from './webhook.ts'
import { whatsapp } from './whatsapp/kind.ts'

/** A kind whose settings are known by name only. */
export type AnyKind = ChannelKind<SettingValues>

/** The kinds of Parley itself. Documented in this order. */
export const kinds: readonly AnyKind[] = [twilio, whatsapp, webhook, loopback]

const byName = new Map(kinds.map((kind) => [kind.name, kind]))

/** Adds a kind to those of this process. Throws when there is one of that name. */
export function addKind(kind: AnyKind): void {
  if (byName.has(kind.name)) throw new Error(`there is a kind ${kind.name}`)
  byName.set(kind.name, kind)
}

/** Returns all kinds, in the order in which they are shown. */
export function allKinds(): readonly AnyKind[] {
  return [...byName.values()]
}

/** Returns the kind of that name; undefined when there is none, in this version. */
export function kindByName(name: string): AnyKind | undefined {
  return byName.get(name)
}
