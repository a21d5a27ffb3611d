/**
 * The tables as the queries see them, the same on both engines: texts, integers (times in epoch ms) and nulls.
 * Rows carry their account and service; `src/storage/migrations` makes the tables.
 */

export interface InstallationRow {
  name: string
  value: string
}

export interface AccountRow {
  sid: string
  friendly_name: string
  /** `active` or `suspended`. */
  status: string
  /** Encrypted: it must stay recoverable, it signs webhooks. */
  auth_token: string
  default_service_sid: string
  default_messaging_service_sid: string
  /** ISO 8601 durations as given. */
  default_inactive_timer: string | null
  default_closed_timer: string | null
  pre_webhook_url: string | null
  post_webhook_url: string | null
  webhook_method: string
  /** JSON array of event names. */
  webhook_filters: string
  webhook_target: string
  date_created: number
  date_updated: number
  revision: number
}

export interface ApiKeyRow {
  sid: string
  account_sid: string
  friendly_name: string
  /** Encrypted: it must stay recoverable, it verifies client tokens. */
  secret: string
  date_created: number
  date_updated: number
}

export interface ServiceRow {
  sid: string
  account_sid: string
  friendly_name: string
  pre_webhook_url: string | null
  post_webhook_url: string | null
  /** Null until first configured, as the vendor shows it; so is `webhook_filters`, a JSON array. */
  webhook_method: string | null
  webhook_filters: string | null
  date_created: number
  date_updated: number
  revision: number
}

export type ConversationState = 'initializing' | 'active' | 'inactive' | 'closed'

export interface ConversationRow {
  service_sid: string
  sid: string
  account_sid: string
  messaging_service_sid: string
  friendly_name: string | null
  unique_name: string | null
  /** JSON text, byte for byte as given. */
  attributes: string
  state: ConversationState
  /** ISO 8601 durations as given; the deadlines below are counted from one anchor. */
  inactive_after: string | null
  closed_after: string | null
  /** Armed deadlines only: null once the state they lead to is reached. */
  date_inactive: number | null
  date_closed: number | null
  /** The earlier of the two deadlines: what the sweep looks for. */
  next_due: number | null
  email_address: string | null
  email_name: string | null
  created_by: string
  /** Last message, else creation: the order of lists. */
  date_activity: number
  date_created: number
  date_updated: number
  /** Counts every committed change of the row: orders its events. */
  revision: number
}

export type DeliveryStatus = 'pending' | 'delivered' | 'failed'

export interface DeliveryRow {
  id: string
  account_sid: string
  service_sid: string
  /** Sid of what holds the webhook configuration: a slow target delays only itself. */
  target_sid: string
  /** What the event is about: deliveries to one target about one subject go out in order. */
  subject_sid: string
  event_type: string
  method: string
  url: string
  /** JSON object of the form's parameters. */
  form: string
  idempotency_token: string
  status: DeliveryStatus
  /** When to try (again), while pending. */
  due: number
  /** JSON array of attempts: at, status, duration_ms, error. */
  attempts: string
  date_created: number
  date_finished: number | null
}

/** A parent that is gone and whose rows are being removed in batches. */
export interface RemovalRow {
  sid: string
  date_created: number
}

export interface Tables {
  installation: InstallationRow
  accounts: AccountRow
  api_keys: ApiKeyRow
  services: ServiceRow
  conversations: ConversationRow
  deliveries: DeliveryRow
  removals: RemovalRow
}
