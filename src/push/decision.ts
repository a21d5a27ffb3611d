import type { BindingRow } from '../storage/schema.ts'
import type { Notifications } from './settings.ts'

/** What somebody is notified of, as bindings name it. */
export type Occasion = 'new_message' | 'added_to_conversation' | 'removed_from_conversation'

/** What has happened. */
export interface Happening {
  readonly occasion: Occasion
  /** Whether the new message carries media. */
  readonly with_media: boolean
  /** Who did it; null: nobody with an identity. */
  readonly by: string | null
}

/** A registered device of somebody whom it concerns. */
export interface Device {
  readonly binding: BindingRow
  readonly participant_sid: string
  readonly muted: boolean
  /** Whether they are known to be online: never where the service has reachability off. */
  readonly online: boolean
}

/** How a push is made. */
export interface Wording {
  readonly template: string
  readonly sound: string | null
}

/** observed: a semicolon, although the documentation has a colon. The others are documented. */
const defaultTemplates = {
  new_message: `\${CONVERSATION};\${PARTICIPANT}: \${MESSAGE}`,
  with_media: `You have a new message in \${CONVERSATION} with \${MEDIA_COUNT} media files: \${MEDIA}`,
  added_to_conversation: `You have been added to the conversation \${CONVERSATION} by \${PARTICIPANT}`,
  removed_from_conversation: `\${PARTICIPANT} has removed you from the conversation \${CONVERSATION}`,
} as const

/**
 * Returns how a push for this is worded; null when the service has it off. A message with media has a switch and a template of its own
 * (documented), and the sound of new messages.
 */
export function wordingOf(settings: Notifications, { occasion, with_media }: Happening): Wording | null {
  const { sound, ...own } = settings[occasion]
  const media = occasion === 'new_message' && with_media
  const { enabled, template } = media ? settings.new_message.with_media : own
  return enabled ? { template: template ?? defaultTemplates[media ? 'with_media' : occasion], sound } : null
}

/**
 * Returns the devices that are notified: not those of whoever did it (inferred), of those who are online, or that did not register for
 * this. Muting concerns messages alone (inferred).
 */
export function notifiedDevices(devices: readonly Device[], { occasion, by }: Happening): Device[] {
  return devices.filter(({ binding, muted, online }) => {
    if (binding.binding_type !== 'fcm' && binding.binding_type !== 'apn') return false
    if (binding.identity === by || online || (muted && occasion === 'new_message')) return false
    return binding.message_types.includes(`"${occasion}"`)
  })
}
