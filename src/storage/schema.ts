/**
 * The tables as the queries see them, the same on both engines: texts, integers (times in epoch ms) and nulls.
 * Rows carry their account and service; `src/storage/migrations` makes the tables.
 */

import type { OperatorRole } from '../operator-roles.ts'

/**
 * A text that is encrypted, or JSON or a URL with something encrypted in it. Any text can be assigned to it: the type says which columns `sealed.ts`
 * has to know.
 */
export type Sealed = string & { readonly sealed?: true }

export interface InstallationRow {
  name: string
  /** Some of the facts are encrypted. */
  value: Sealed
}

export type AccountStatus = 'active' | 'suspended'
export type WebhookMethod = 'GET' | 'POST'

export interface AccountRow {
  sid: string
  friendly_name: string
  status: AccountStatus
  /** Encrypted: it must stay recoverable, it signs webhooks. */
  auth_token: Sealed
  default_service_sid: string
  default_messaging_service_sid: string
  /** ISO 8601 durations as given. */
  default_inactive_timer: string | null
  default_closed_timer: string | null
  pre_webhook_url: Sealed | null
  post_webhook_url: Sealed | null
  webhook_method: WebhookMethod
  /** JSON array of event names. */
  webhook_filters: string
  webhook_target: 'webhook' | 'flex'
  date_created: number
  date_updated: number
  revision: number
}

export interface ApiKeyRow {
  sid: string
  account_sid: string
  friendly_name: string
  /** Encrypted: it must stay recoverable, it verifies client tokens. */
  secret: Sealed
  /** JSON, `{"allow":["/twilio/…"]}`, of a restricted key; null: it may do everything. */
  policy: string | null
  date_created: number
  date_updated: number
}

export interface ServiceRow {
  sid: string
  account_sid: string
  friendly_name: string
  pre_webhook_url: Sealed | null
  post_webhook_url: Sealed | null
  /** Null until first configured, as the vendor shows it; so is `webhook_filters`, a JSON array. */
  webhook_method: WebhookMethod | null
  webhook_filters: string | null
  default_conversation_creator_role_sid: string
  default_conversation_role_sid: string
  default_chat_service_role_sid: string
  /** 0 or 1, as every flag. */
  reachability_enabled: number
  /** How often it was turned on: what is known of users from before does not count. */
  reachability_epoch: number
  /** JSON object of deleted roles that rows may still name, each with the role in its place: see `ReplacedRoles`. */
  replaced_roles: string
  /** JSON object: the settings of `Configuration/Notifications`, as shown. */
  notifications: string
  date_created: number
  date_updated: number
  revision: number
}

/** All there are: a list of all conversations is merged from those of each. */
export const conversationStates = ['active', 'inactive', 'closed', 'initializing'] as const

export type ConversationState = (typeof conversationStates)[number]

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
  /** When it came to be in its state. */
  date_state: number
  /** While it is initializing: the state that it will start in; else null. */
  initial_state: 'active' | 'inactive' | null
  /** ISO 8601 durations as given; the deadlines below are counted from one anchor. */
  inactive_after: string | null
  closed_after: string | null
  /** Armed deadlines only: null once the state they lead to is reached. */
  date_inactive: number | null
  date_closed: number | null
  /** The earlier of the two deadlines: what the sweep looks for. */
  next_due: number | null
  email_address: string | null
  /** What distinguishes the conversation's own mail address; random, so that nobody can guess it. Null without a mailbox. */
  email_tag: string | null
  email_name: string | null
  /** Since when it has its mailbox, whatever an import says of its creation. Null without one. */
  date_mailbox: number | null
  created_by: string
  /** Index of the last message ever accepted, -1 before the first: an index is never given twice. */
  last_message_index: number
  /** Counts the changes of its messages and participants, as client SDKs are told of them. */
  last_event_id: number
  /** How many of its messages were removed: the others are `last_message_index + 1` less these. */
  removed_messages: number
  /** How many webhooks of its own it has: none is the common case, and costs no look. */
  webhook_count: number
  /** Last message, else creation: the order of lists. */
  date_activity: number
  date_created: number
  date_updated: number
  /** Counts every committed change of the row: orders its events. */
  revision: number
}

/** What an address of a person is an address of. */
export type AddressType = 'sms' | 'whatsapp' | 'messenger' | 'rcs' | 'email'

export interface ParticipantRow {
  service_sid: string
  conversation_sid: string
  sid: string
  account_sid: string
  /** A chat participant has an identity and its user, any other an address. */
  identity: string | null
  user_sid: string | null
  /** Null for plain chat. */
  binding_type: AddressType | null
  /** Mail addresses in lower case: they are compared without case. */
  address: string | null
  /** The mail address as given, where it differs. */
  address_as_given: string | null
  /** How a mail is addressed to a participant, and their name; null for any other channel. */
  binding_level: 'to' | 'cc' | null
  binding_name: string | null
  proxy_address: string | null
  projected_address: string | null
  attributes: string
  role_sid: string | null
  last_read_message_index: number | null
  last_read_timestamp: number | null
  notification_level: 'default' | 'muted'
  /** 1 while the conversation is not closed: holds the address pair, counts for the identity. */
  open: number
  /** Once it is not open: the conversation's `date_activity`, which is final. Null before. */
  closed_activity: number | null
  /** Its last change and its creation, as its conversation counts them. */
  event_id: number
  created_event_id: number
  /** The same of the membership, as its user counts them. */
  membership_event_id: number
  membership_created_event_id: number
  date_created: number
  date_updated: number
  revision: number
}

export interface MessageRow {
  service_sid: string
  conversation_sid: string
  sid: string
  account_sid: string
  message_index: number
  author: string
  participant_sid: string | null
  body: string | null
  subject: string | null
  /** JSON array of media as shown, or null. */
  media: string | null
  attributes: string
  content_sid: string | null
  content_variables: string | null
  /** JSON object: what the channel said about an inbound message. */
  channel_metadata: string | null
  /** JSON object as shown (`total`, `sent`, …), or null when there was no non-chat recipient. */
  delivery: string | null
  /** `API`, `SDK`, or the channel it came in by: what events name as its source. */
  source: string
  /** The identity of who changed it last, `system` for REST; null while nobody has. */
  last_updated_by: string | null
  /** Its last change and its creation, as its conversation counts them. */
  event_id: number
  created_event_id: number
  date_created: number
  date_updated: number
  revision: number
}

export type ReceiptStatus = 'sent' | 'delivered' | 'read' | 'failed' | 'undelivered'

export interface ReceiptRow {
  service_sid: string
  conversation_sid: string
  message_sid: string
  sid: string
  account_sid: string
  participant_sid: string
  channel_message_sid: string
  status: ReceiptStatus
  error_code: number
  date_created: number
  date_updated: number
  revision: number
}

export interface ConversationWebhookRow {
  service_sid: string
  conversation_sid: string
  sid: string
  account_sid: string
  target: 'webhook' | 'trigger' | 'studio'
  url: Sealed | null
  /** As the caller spelt it. */
  method: string | null
  /** JSON arrays. */
  filters: string | null
  triggers: string | null
  flow_sid: string | null
  replay_after: number | null
  date_created: number
  date_updated: number
  revision: number
}

export interface UserRow {
  service_sid: string
  sid: string
  account_sid: string
  identity: string
  friendly_name: string | null
  attributes: string
  role_sid: string
  /** As of `reachability_epoch`: in another one of the service it is not known. */
  is_online: number | null
  /** Null until a device is registered for the first time. */
  is_notifiable: number | null
  reachability_epoch: number
  /** Counts the changes of their memberships, as client SDKs are told of them. */
  last_event_id: number
  date_created: number
  date_updated: number
  revision: number
}

export type RoleType = 'conversation' | 'service'

export interface RoleRow {
  service_sid: string
  sid: string
  account_sid: string
  friendly_name: string
  type: RoleType
  /** JSON array, in the order given. */
  permissions: string
  date_created: number
  date_updated: number
  revision: number
}

export interface BindingRow {
  service_sid: string
  sid: string
  account_sid: string
  identity: string
  endpoint: string
  binding_type: 'apn' | 'gcm' | 'fcm' | 'twilsock'
  credential_sid: string
  /** JSON array. */
  message_types: string
  date_created: number
  date_updated: number
  revision: number
}

export interface CredentialRow {
  account_sid: string
  sid: string
  friendly_name: string | null
  type: 'apn' | 'gcm' | 'fcm'
  /** As the vendor spells it; null where it has no meaning. */
  sandbox: 'True' | 'False' | null
  /** JSON object of what was given, each value encrypted; never shown. */
  secrets: Sealed
  date_created: number
  date_updated: number
  revision: number
}

export interface AddressRow {
  account_sid: string
  sid: string
  address: string
  type: 'sms' | 'whatsapp' | 'messenger' | 'gbm' | 'email' | 'rcs' | 'apple' | 'chat'
  friendly_name: string | null
  address_country: string | null
  /** JSON object: the settings of automatic creation, as shown. */
  auto_creation: Sealed
  date_created: number
  date_updated: number
  revision: number
}

export type DeliveryStatus = 'pending' | 'delivered' | 'failed'
/** `loopback`: a message whose address no channel carries. `push`: a notification of a device, which is the subject. */
export type DeliveryKind = 'webhook' | 'message' | 'loopback' | 'push'

export interface DeliveryRow {
  id: string
  kind: DeliveryKind
  account_sid: string
  service_sid: string
  /** Sid of the row that holds the webhook or channel configuration or the credential, empty for `loopback`: a slow target delays only itself. */
  target_sid: string
  /** What the delivery is about: deliveries to one target about one subject are sent in order. */
  subject_sid: string
  /** Which part of all deliveries it belongs to: several nodes share them. */
  slot: number
  event_type: string
  method: 'GET' | 'POST'
  /** Empty for `loopback` and `push`. */
  url: Sealed
  /** JSON object of the form's parameters, or of the data of a push. */
  form: string
  idempotency_token: string
  status: DeliveryStatus
  /** When to try (again), while pending. */
  due: number
  /** The message that is handed to a channel or announced, and who it is for; both null for a webhook. */
  message_sid: string | null
  participant_sid: string | null
  /** JSON array of attempts: at, status, duration_ms, error. */
  attempts: string
  date_created: number
  date_finished: number | null
  /** JSON array, an entry for each attempt: what was responded, or null (`delivery/response.ts`). Null: nothing yet. */
  responses: string | null
}

/** How the messages of an address are sent and received. */
export interface ChannelRow {
  account_sid: string
  sid: string
  /** A proxy address or a mailbox. */
  proxy_address: string
  /** Of those in `channels/kinds.ts`. */
  kind: string
  /** JSON object of the kind's settings, with the secrets encrypted. */
  settings: Sealed
  date_created: number
  date_updated: number
}

/** What was uploaded, and the message that carries it. The bytes are a file, named by their hash. */
export interface MediaRow {
  service_sid: string
  sid: string
  account_sid: string
  /** Of the bytes, hex: several rows may share a file. */
  sha256: string
  filename: string | null
  /** As uploaded. */
  content_type: string
  /** In bytes. */
  size: number
  /** `source`: a mail as it came, which is shown to the operator alone. */
  category: 'media' | 'body' | 'history' | 'source'
  author: string | null
  /** Both null until a message carries it. */
  conversation_sid: string | null
  message_sid: string | null
  date_created: number
  date_updated: number
  revision: number
}

/** A parent that is gone and whose rows are being removed in batches. */
export interface RemovalRow {
  sid: string
  date_created: number
  /** Of a user or a role, whose rows are found by it. */
  service_sid: string | null
}

/** An item that was removed from what client SDKs keep a copy of. */
export interface TombstoneRow {
  service_sid: string
  /** The name of the list or map. */
  object: string
  event_id: number
  /** When the item was added: a client that is older has never had it. */
  created_event_id: number
  /** Of the tombstone: the object and the event. */
  id: string
  /** The index or the key of the item. */
  item: string
  date_created: number
}

/** A request that is made once, however often it is sent. */
export interface MutationRow {
  service_sid: string
  /** The user and what they call the request. */
  id: string
  /** Of the row that it made or changed; null for a removal. */
  row_sid: string | null
  date_created: number
}

/** A user who is connected to a node. */
export interface PresenceRow {
  service_sid: string
  user_sid: string
  node: string
  account_sid: string
}

/** What one of several nodes has for a time: a part of the deliveries, or (`node:…`) a place among the living. */
export interface LeaseRow {
  name: string
  /** The id of a node; of `node:…` the version of that node, or its id once more where that does not say. */
  owner: string
  /** By the database's clock. */
  until: number
}

/** A content template, as the operator registers it. */
export interface ContentRow {
  account_sid: string
  sid: string
  friendly_name: string | null
  /** JSON object: values of variables that a message leaves out. */
  variables: string
  /** JSON object: content by type, with variables as `{{1}}`. */
  types: string
  date_created: number
  date_updated: number
}

/** How a carrier calls a message that was received or sent. */
export interface ExternalIdRow {
  /** Of account, direction, channel and external id: one row for each. */
  id: string
  account_sid: string
  /** The address of the channel. */
  channel: string
  external_id: string
  direction: 'in' | 'out'
  service_sid: string | null
  conversation_sid: string | null
  participant_sid: string | null
  message_sid: string | null
  /** Of a message that was received. */
  message_index: number | null
  /** Of the receipts of a message that was sent. */
  channel_message_sid: string | null
  /** JSON array of statuses that came before the sending was recorded: nothing else is known then. Null otherwise. */
  early: string | null
  date_created: number
}

/** A mail address that gets no more mail: a server has said that it does not exist. */
export interface MailBlockRow {
  account_sid: string
  /** In lower case. */
  address: string
  error_code: number
  /** What the server said. */
  reason: string
  date_created: number
}

/** The words of a row, by which it is found. */
export interface SearchDocumentRow {
  /** Those of later rows are greater; those of rows from before the index are negative. */
  id: number
  service_sid: string
  /** Of the row. */
  sid: string
  account_sid: string
  /** Null for a user and a conversation. */
  conversation_sid: string | null
  /** Each once, with a space in between; see `documentOf`. */
  words: string
}

/** How far the documents of a table's older rows have been written. */
export interface SearchProgressRow {
  /** The table. */
  name: string
  /** JSON array: the key of the row that was last; null once all are done. */
  place: string | null
}

/** The content of a file that an erasure has left, and is to delete. */
export interface ErasureFileRow {
  erasure_id: string
  sha256: string
}

/** `failed`: it is tried again. */
export type ErasureStatus = 'waiting' | 'running' | 'failed' | 'done'

/** A person who is being erased, and afterwards the proof of it. Nothing in it names the person. */
export interface ErasureRow {
  id: string
  account_sid: string
  status: ErasureStatus
  /** 0 or 1. A dry run only counts. */
  dry_run: number
  /** What becomes of the person's messages. */
  messages: 'redact' | 'delete'
  /** What the person is named by. */
  subject: 'identity' | 'address'
  /** Keyed: whoever knows the person and the secret key recognises the proof. */
  subject_hash: string
  /** What takes the place of the person's name where something has to. */
  pseudonym: string
  requested_by: string
  /** As the operator names the request, such as the number of a ticket. */
  reference: string | null
  /** Encrypted: who the person is, and how far the work has come. Null once it is done. */
  sealed: Sealed | null
  /** The kind of rows that is being looked through; null before and after. */
  step: string | null
  /** JSON object: how many rows of each kind. */
  counts: string
  /** Whether deleted data has been overwritten; null until it is done, and for a dry run. */
  storage: 'overwritten' | 'in use' | 'not overwritten' | null
  /** The node that works on it. */
  owner: string | null
  /** How often it has failed. */
  failures: number
  /** When one that has failed is tried again. */
  date_retry: number | null
  date_created: number
  date_started: number | null
  date_finished: number | null
}

/** For how many days an account, or one of its services, keeps what it has. Null: not said. */
export interface RetentionRow {
  account_sid: string
  /** Empty for the account itself. */
  service_sid: string
  /** Counted from when the conversation was closed. 0, of a service: for ever, whatever the account says; so in each. */
  closed_conversation_days: number | null
  message_days: number | null
  media_days: number | null
  /** Entries of the delivery log, by their outcome. */
  delivered_days: number | null
  failed_days: number | null
  date_updated: number
}

export type AuditOutcome = 'success' | 'refused' | 'failed'

/** An act of an operator, see `src/audit`. Neither secrets nor what people have written, nor who they are: `hmac:…` stands for it. */
export interface AuditEntryRow {
  id: string
  /** 1, 2, 3 … without a gap, over the whole installation. */
  seq: number
  at: number
  actor_type: 'operator' | 'key' | 'account' | 'client' | 'cli' | 'system'
  actor_id: string
  actor_name: string
  address: string | null
  agent: string | null
  interface: string
  action: string
  target_type: string | null
  target_sid: string | null
  account_sid: string | null
  outcome: AuditOutcome
  code: number | null
  /** JSON objects: what the act has changed. */
  before: string | null
  after: string | null
  /** How many like this one it stands for. */
  count: number
  request_id: string | null
  node: string
  version: string
  /** Hex: SHA-256 of the entry before and of this one. */
  hash: string
}

/** Where the chain stood at some time, signed. */
export interface AuditCheckpointRow {
  /** Its `seq` with leading zeros. */
  id: string
  seq: number
  hash: string
  at: number
  note: string
}

/** The last entry of the chain, and the last one that was removed because of its age. One row. */
export interface AuditHeadRow {
  name: 'head'
  seq: number
  hash: string
  removed_seq: number
  removed_hash: string
  /** Signed, what was removed; null: nothing. */
  anchor: string | null
}

/** An account that follows a hosted one of the same SID. */
export interface MirrorRow {
  account_sid: string
  /** Where the hosted API is. */
  url: string
  /** `switching`: writes are held until it is decided. `switched`: it follows no longer. */
  state: 'following' | 'switching' | 'switched'
  /** JSON: what the last comparison has found; null before there was one. */
  report: string | null
  date_started: number
  /** When the last pass began of those that came to their end. */
  date_passed: number | null
  date_switched: number | null
}

/** What of a hosted account is not known to be the same here: a write whose outcome is open, or what is to be read. */
export interface MirrorWorkRow {
  account_sid: string
  /** Of a write `intent` and an id, else the text of the target: see `mirror/targets.ts`. */
  key: string
  /** JSON array, of a write: what is to be read if its outcome stays unknown. Null for a target. */
  targets: string | null
  /** How often it was asked for: what is asked for while it is read is read once more. */
  marks: number
  /** How often it was read in vain. */
  attempts: number
  /** Why it was in vain the last time. */
  error: string | null
  date_created: number
  /** Not read before. */
  date_due: number
}

/** Somebody who may use the operator's API by a token of their own. */
export interface OperatorRow {
  sid: string
  name: string
  role: OperatorRole
  /** 0 or 1: whether a viewer sees the texts of messages. */
  text: number
  /** JSON array of the SIDs of the accounts that there are for them; null: all. */
  accounts: string | null
  /** Rotations and sign-outs until now: sessions of browsers from before are void. */
  sessions: number
  date_created: number
  date_updated: number
}

export interface OperatorTokenRow {
  /** The part of the token that is no secret. */
  id: string
  operator_sid: string
  /** SHA-256 of the token in hex: its secret has 256 random bits, so nothing slower is needed. */
  hash: string
  date_expires: number | null
  /** To within a minute. */
  date_used: number | null
  date_created: number
}

export interface Tables {
  installation: InstallationRow
  accounts: AccountRow
  api_keys: ApiKeyRow
  services: ServiceRow
  conversations: ConversationRow
  participants: ParticipantRow
  messages: MessageRow
  receipts: ReceiptRow
  conversation_webhooks: ConversationWebhookRow
  users: UserRow
  roles: RoleRow
  bindings: BindingRow
  credentials: CredentialRow
  addresses: AddressRow
  deliveries: DeliveryRow
  channels: ChannelRow
  contents: ContentRow
  external_ids: ExternalIdRow
  mail_blocks: MailBlockRow
  retention: RetentionRow
  media: MediaRow
  removals: RemovalRow
  tombstones: TombstoneRow
  mutations: MutationRow
  presence: PresenceRow
  leases: LeaseRow
  search_documents: SearchDocumentRow
  search_progress: SearchProgressRow
  erasures: ErasureRow
  audit_entries: AuditEntryRow
  audit_checkpoints: AuditCheckpointRow
  audit_head: AuditHeadRow
  erasure_files: ErasureFileRow
  mirrors: MirrorRow
  mirror_work: MirrorWorkRow
  operators: OperatorRow
  operator_tokens: OperatorTokenRow
}
