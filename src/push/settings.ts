import { parseStored } from '../json.ts'
import type { ServiceRow } from '../storage/schema.ts'

interface PushSettings {
  readonly enabled: boolean
  readonly template: string | null
  readonly sound: string | null
}

/** What a service says about push: the JSON column, with its keys in the order of the representation. */
export interface Notifications {
  readonly log_enabled: boolean
  readonly added_to_conversation: PushSettings
  readonly new_message: PushSettings & {
    readonly badge_count_enabled: boolean
    readonly with_media: Omit<PushSettings, 'sound'>
  }
  readonly removed_from_conversation: PushSettings
}

/** The settings of a new service: every flag off, every text unset. */
export const defaultNotifications: Notifications = {
  log_enabled: false,
  added_to_conversation: { enabled: false, template: null, sound: null },
  new_message: {
    enabled: false,
    template: null,
    badge_count_enabled: false,
    sound: null,
    with_media: { enabled: false, template: null },
  },
  removed_from_conversation: { enabled: false, template: null, sound: null },
}

/** Reads the settings of a service; undefined when nothing is enabled, which costs no more than a look at the text. */
export function settingsOf({ notifications }: Pick<ServiceRow, 'notifications'>): Notifications | undefined {
  return notifications.includes('enabled":true') ? parseStored<Notifications>(notifications) : undefined
}
