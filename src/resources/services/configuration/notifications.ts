import { parseStored } from '../../../json.ts'
import { resource } from '../../../model/declare.ts'
import { flag, given, text } from '../../../model/params.ts'
import type { Notifications } from '../../../push/settings.ts'
import type { ServiceRow } from '../../../storage/schema.ts'

// The vendor documents no limit for either; push services accept far less.
const template = text({ max: 1024, tooLong: 'notificationTemplateTooLong' })
const sound = text({ max: 1024, tooLong: 'notificationSoundTooLong' })

/** https://www.twilio.com/docs/conversations/api/service-notification-resource */
export const serviceNotifications = resource<ServiceRow>()({
  name: 'ServiceNotification',
  operation: 'Notification',
  path: 'Configuration/Notifications',
  under: 'only service',
  table: 'services',
  sid: null,
  row: ({ service }) => service?.sid ?? '',
  params: {
    LogEnabled: flag(),
    'NewMessage.Enabled': flag(),
    'NewMessage.Template': template,
    'NewMessage.Sound': sound,
    'NewMessage.BadgeCountEnabled': flag(),
    'AddedToConversation.Enabled': flag(),
    'AddedToConversation.Template': template,
    'AddedToConversation.Sound': sound,
    'RemovedFromConversation.Enabled': flag(),
    'RemovedFromConversation.Template': template,
    'RemovedFromConversation.Sound': sound,
    'NewMessage.WithMedia.Enabled': flag(),
    'NewMessage.WithMedia.Template': template,
  },
  update(before, p) {
    const stored = parseStored<Notifications>(before.notifications)
    const { added_to_conversation: added, new_message: message, removed_from_conversation: removed } = stored
    const notifications: Notifications = {
      log_enabled: p.LogEnabled ?? stored.log_enabled,
      added_to_conversation: {
        enabled: p['AddedToConversation.Enabled'] ?? added.enabled,
        template: given(p['AddedToConversation.Template'], added.template),
        sound: given(p['AddedToConversation.Sound'], added.sound),
      },
      new_message: {
        enabled: p['NewMessage.Enabled'] ?? message.enabled,
        template: given(p['NewMessage.Template'], message.template),
        badge_count_enabled: p['NewMessage.BadgeCountEnabled'] ?? message.badge_count_enabled,
        sound: given(p['NewMessage.Sound'], message.sound),
        with_media: {
          enabled: p['NewMessage.WithMedia.Enabled'] ?? message.with_media.enabled,
          template: given(p['NewMessage.WithMedia.Template'], message.with_media.template),
        },
      },
      removed_from_conversation: {
        enabled: p['RemovedFromConversation.Enabled'] ?? removed.enabled,
        template: given(p['RemovedFromConversation.Template'], removed.template),
        sound: given(p['RemovedFromConversation.Sound'], removed.sound),
      },
    }
    return { ...before, notifications: JSON.stringify(notifications) }
  },
  represent: (row, self) => ({
    account_sid: row.account_sid,
    chat_service_sid: row.sid,
    ...parseStored<Notifications>(row.notifications),
    url: self,
  }),
})
