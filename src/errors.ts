/** One answer that is not a success: what the caller reads, and where it comes from. */
export interface ErrorEntry {
  readonly code: number
  readonly status: number
  /** May hold `{name}` places, filled from the details given when it is raised. */
  readonly message: string
  /** Where it is raised, for the generated page. */
  readonly when: string
}

/**
 * Every error that Parley puts on the Twilio wire. Codes and texts are the vendor's (error dictionary, public captures);
 * a status nobody has captured follows the rule duplicate = 409, counter = 403, anything else = 400.
 */
export const catalogue = {
  invalidParameter: { code: 20001, status: 400, message: '{text}', when: 'a generic parameter is missing or malformed' },
  missingParameter: {
    code: 20001,
    status: 400,
    message: 'Missing required parameter {name} in the post body',
    when: 'a required parameter is absent',
  },
  invalidPageSize: { code: 20001, status: 400, message: 'Invalid PageSize.', when: 'PageSize is not a positive integer' },
  noCredentials: {
    code: 20003,
    status: 401,
    message: 'Authentication Error - No credentials provided',
    when: 'no Authorization header',
  },
  invalidUsername: {
    code: 20003,
    status: 401,
    message: 'Authentication Error - invalid username',
    when: 'the user name is neither an account sid nor an API key sid',
  },
  authenticate: { code: 20003, status: 401, message: 'Authenticate', when: 'unknown account or key, or wrong secret' },
  methodNotAllowed: { code: 20004, status: 405, message: 'Method not allowed', when: 'known path, unsupported verb' },
  forbidden: {
    code: 20403,
    status: 403,
    message: 'Forbidden',
    when: 'the account is suspended, or a temporary media url has expired',
  },
  notFound: {
    code: 20404,
    status: 404,
    message: 'The requested resource {path} was not found',
    when: 'the resource or a parent of it does not exist, or belongs to another account or service',
  },
  conflict: {
    code: 20409,
    status: 409,
    message: 'Conflict',
    when: 'an address is configured twice, or the default service of an account or a default role of a service is deleted',
  },
  tooLarge: { code: 20413, status: 413, message: 'Request Entity Too Large', when: 'the body is over the limit' },
  invalidValue: {
    code: 20422,
    status: 400,
    message: 'Invalid Parameter',
    when: 'a parameter holds a NUL character, or a malformed value for which no code of its own exists',
  },
  serverError: { code: 20500, status: 500, message: 'Internal Server Error', when: 'a defect of the server' },
  unavailable: { code: 20503, status: 503, message: 'Service unavailable', when: 'the database cannot take the request now' },
  invalidPageToken: { code: 21481, status: 400, message: 'Invalid PageToken', when: 'PageToken was not issued for this list' },
  friendlyNameTooLong: {
    code: 50003,
    status: 400,
    message: 'Friendly name too long',
    when: 'FriendlyName is over 256 characters',
  },
  uniqueNameTooLong: { code: 50004, status: 400, message: 'Unique Name too long', when: 'UniqueName is over 256 characters' },
  serviceNotFound: {
    code: 50050,
    status: 400,
    message: 'Service Instance not found',
    when: 'DefaultChatServiceSid or AutoCreation.ConversationServiceSid names no service of the account',
  },
  invalidWebhook: {
    code: 50054,
    status: 400,
    message: 'Invalid webhook format',
    when: 'a webhook filter or target is not known',
  },
  invalidWebhookMethod: { code: 50055, status: 400, message: 'Invalid webhook method', when: 'Method is neither GET nor POST' },
  vetoed: {
    code: 50056,
    status: 403,
    message: 'Webhook cancelled processing of command',
    when: 'a pre-action webhook refused the change',
  },
  notificationTemplateTooLong: {
    code: 50058,
    status: 400,
    message: 'Notification template too long',
    when: 'a notification template is over 1024 characters',
  },
  notificationSoundTooLong: {
    code: 50059,
    status: 400,
    message: 'Notification sound name too long',
    when: 'the name of a notification sound is over 1024 characters',
  },
  invalidPreWebhookUrl: {
    code: 50077,
    status: 400,
    message: 'Invalid pre webhook URL',
    when: 'PreWebhookUrl is not an http(s) URL',
  },
  invalidPostWebhookUrl: {
    code: 50078,
    status: 400,
    message: 'Invalid post webhook URL',
    when: 'PostWebhookUrl is not an http(s) URL',
  },
  roleNotFound: {
    code: 50100,
    status: 400,
    message: 'Role not found',
    when: 'a role sid names no role of the service',
  },
  serviceRoleNotFound: {
    code: 50102,
    status: 400,
    message: 'Deployment role not found',
    when: 'a role of type service is wanted and another is given',
  },
  permissionNotFound: {
    code: 50104,
    status: 400,
    message: 'Permission not found',
    when: 'a permission is not known, or not for roles of this type',
  },
  invalidRoleType: {
    code: 50105,
    status: 400,
    message: 'Invalid role type',
    when: 'Type of a role is neither conversation nor service',
  },
  conversationRoleNotFound: {
    code: 50109,
    status: 400,
    message: 'Conversation role not found',
    when: 'a role of type conversation is wanted and another is given',
  },
  attributesTooLong: { code: 50303, status: 400, message: 'Attributes too long', when: 'Attributes are over 16 KB' },
  attributesNotJson: { code: 50304, status: 400, message: 'Attributes not valid JSON', when: 'Attributes do not parse' },
  invalidDateCreated: {
    code: 50308,
    status: 400,
    message: 'Invalid Date Created parameter',
    when: 'DateCreated is not ISO 8601',
  },
  invalidDateUpdated: {
    code: 50309,
    status: 400,
    message: 'Invalid Date Updated parameter',
    when: 'DateUpdated is not ISO 8601',
  },
  invalidMessagingServiceSid: {
    code: 50341,
    status: 400,
    message: 'Invalid messaging service SID',
    when: 'a messaging service sid is not MG and 32 hex digits',
  },
  uniqueNameTaken: {
    code: 50353,
    status: 409,
    message: 'Conversation with provided unique name already exists',
    when: 'UniqueName is held by another conversation of the service, closed ones included',
  },
  tooManyConversationWebhooks: {
    code: 50361,
    status: 400,
    message: 'Too many conversation webhooks',
    when: 'a conversation gets a sixth webhook',
  },
  tooManyConversationWebhookTriggers: {
    code: 50362,
    status: 400,
    message: 'Too many conversation webhook triggers',
    when: 'a webhook gets more than five triggers',
  },
  invalidConversationWebhookType: {
    code: 50364,
    status: 400,
    message: 'Invalid conversation webhook type',
    when: 'Target is not webhook, trigger or studio',
  },
  invalidConversationWebhookFilter: {
    code: 50365,
    status: 400,
    message: 'Invalid conversation webhook filter',
    when: 'a filter of a conversation webhook is not one of its post-action events',
  },
  invalidConversationWebhookTrigger: {
    code: 50366,
    status: 400,
    message: 'Invalid conversation webhook trigger',
    when: 'a trigger is empty or over 248 characters',
  },
  invalidConversationWebhookFlowSid: {
    code: 50367,
    status: 400,
    message: 'Invalid conversation webhook flow SID',
    when: 'FlowSid of a studio webhook is missing or not FW and 32 hex digits',
  },
  conversationWebhookUrlNotProvided: {
    code: 50369,
    status: 400,
    message: 'Conversation webhook URL not provided',
    when: 'a webhook or trigger target without Configuration.Url',
  },
  conversationWebhookFilterNotProvided: {
    code: 50370,
    status: 400,
    message: 'Conversation webhook filter not provided',
    when: 'a webhook target without Configuration.Filters',
  },
  conversationWebhookTriggerNotProvided: {
    code: 50371,
    status: 400,
    message: 'Conversation webhook trigger not provided',
    when: 'a trigger target without Configuration.Triggers',
  },
  conversationWebhookUrlTooLong: {
    code: 50372,
    status: 400,
    message: 'Conversation webhook URL is too long',
    when: 'Configuration.Url is over 512 characters',
  },
  emptyState: { code: 50374, status: 400, message: "'State' field can't be empty", when: 'State is given and empty' },
  inactiveTimerTooShort: {
    code: 50375,
    status: 400,
    message: 'TimeToInactive should be greater or equal to 1 minute',
    when: 'an inactive timer under PT1M',
  },
  closedTimerTooShort: {
    code: 50376,
    status: 400,
    message: 'TimeToClosed should be greater or equal to 10 minutes',
    when: 'a closed timer under PT10M',
  },
  conversationClosed: {
    code: 50377,
    status: 400,
    message: "Can't update conversation as it's in final closed state",
    when: 'any change of a closed conversation but its deletion',
  },
  invalidState: {
    code: 50378,
    status: 400,
    message: "'State' parameter value is invalid",
    when: 'State is not active, inactive or closed',
  },
  invalidInactiveTimer: {
    code: 50379,
    status: 400,
    message: 'TimeToInactive format is invalid',
    when: 'an inactive timer is not an ISO 8601 duration',
  },
  invalidClosedTimer: {
    code: 50380,
    status: 400,
    message: 'TimeToClosed format is invalid',
    when: 'a closed timer is not an ISO 8601 duration',
  },
  initiallyClosed: { code: 50384, status: 400, message: "Initial state can't be 'closed", when: 'State=closed at creation' },
  uniqueNameLikeSid: {
    code: 50390,
    status: 400,
    message: 'Unique name should not match conversation sid pattern',
    when: 'UniqueName has the form of a conversation sid',
  },
  userExists: {
    code: 50201,
    status: 409,
    message: 'User already exists',
    when: 'Identity is held by another user of the service',
  },
  identityReserved: { code: 50203, status: 400, message: 'Identity reserved', when: 'Identity is system' },
  identityNotProvided: {
    code: 50204,
    status: 400,
    message: 'Identity not provided',
    when: 'a participant with neither identity nor address',
  },
  identityLikeSid: {
    code: 50206,
    status: 400,
    message: 'Identity should not match user SID pattern',
    when: 'Identity has the form of a user sid',
  },
  identityTooLong: { code: 50207, status: 400, message: 'Identity too long', when: 'Identity is over 256 characters' },
  identityNotAcceptable: {
    code: 50211,
    status: 400,
    message: 'Identity parameter not acceptable for this Participant',
    when: 'an identity together with an address',
  },
  invalidNotificationLevel: {
    code: 50210,
    status: 400,
    message: 'Invalid notification level',
    when: 'NotificationLevel is neither default nor muted',
  },
  userConversationLimit: {
    code: 50214,
    status: 403,
    message: 'User conversation limit exceeded',
    when: 'the identity is in 1,000 open conversations',
  },
  authorTooLong: { code: 50310, status: 400, message: 'Author parameter is too long', when: 'Author is over 256 characters' },
  conversationInitializing: {
    code: 50386,
    status: 400,
    message: "Conversation in 'initializing' state may not be updated or used for message sending",
    when: 'a change of a conversation that is being set up',
  },
  invalidLastReadTimestamp: {
    code: 50405,
    status: 400,
    message: 'Invalid last consumption timestamp format',
    when: 'LastReadTimestamp is not ISO 8601',
  },
  invalidBindingAddress: {
    code: 50407,
    status: 400,
    message: 'Invalid messaging binding address',
    when: 'an address has no known form',
  },
  invalidProxyAddress: {
    code: 50408,
    status: 400,
    message: 'Invalid participant proxy address',
    when: 'a proxy address has no known form',
  },
  equalAddresses: {
    code: 50409,
    status: 400,
    message: 'Participant address equals proxy address',
    when: 'address and proxy address are the same',
  },
  emptyAddress: { code: 50411, status: 400, message: 'Participant address is empty', when: 'a proxy address without an address' },
  emptyProxyAddress: {
    code: 50412,
    status: 400,
    message: 'Participant proxy address is empty',
    when: 'an address without a proxy address',
  },
  addressTypeMismatch: {
    code: 50414,
    status: 400,
    message: 'Participant address type does not match proxy address type',
    when: 'address and proxy address are of different channels',
  },
  pairHeld: {
    code: 50416,
    status: 409,
    message: 'A binding for this participant and proxy address already exists in Conversation {conversation_sid}',
    when: 'the pair of addresses is in another open conversation of the account',
  },
  participantLimit: {
    code: 50417,
    status: 403,
    message: 'Participants limit exceeded',
    when: 'a conversation has 1,000 participants',
  },
  nonChatLimit: {
    code: 50418,
    status: 403,
    message: 'Non-Chat participants limit exceeded',
    when: 'a conversation has 50 participants with an address',
  },
  invalidLastReadIndex: {
    code: 50421,
    status: 400,
    message: 'Invalid last read message index format',
    when: 'LastReadMessageIndex is not a whole number from 0',
  },
  invalidParticipant: {
    code: 50424,
    status: 400,
    message: 'Participant JSON is invalid',
    when: 'a Participant of ConversationWithParticipants is not a JSON object of texts',
  },
  tooManyParticipants: {
    code: 50426,
    status: 400,
    message: 'No more than 10 participants may be added in one request',
    when: 'ConversationWithParticipants with more than 10 participants',
  },
  participantExists: {
    code: 50433,
    status: 409,
    message: 'Participant already exists',
    when: 'the identity is in the conversation already',
  },
  oneUserIdentifier: {
    code: 50451,
    status: 400,
    message: 'One user identifier parameter for lookup at a time is allowed. Please, use either Identity or Address.',
    when: 'ParticipantConversations with both Identity and Address',
  },
  groupLimit: {
    code: 50436,
    status: 403,
    message: 'Participant limit exceeded for group conversation',
    when: 'a group conversation has 10 members',
  },
  proxyNotRemoved: {
    code: 50440,
    status: 400,
    message: 'Failed to remove the proxy address of a participant.',
    when: 'there is no proxy address to remove',
  },
  proxyNotAdded: {
    code: 50441,
    status: 400,
    message: 'Failed to add a proxy address to a participant.',
    when: 'the participant has one already, or no address',
  },
  projectionNotRemoved: {
    code: 50442,
    status: 400,
    message: 'Failed to remove the projected address of a participant.',
    when: 'there is no projected address to remove',
  },
  projectionNotAdded: {
    code: 50443,
    status: 400,
    message: 'Failed to add a projected address to a participant.',
    when: 'the participant has an address already',
  },
  identityNotAdded: {
    code: 50444,
    status: 400,
    message: 'Failed to add an identity to a participant.',
    when: 'the participant has one already, or no projected address',
  },
  projectedAddressMissing: {
    code: 50434,
    status: 400,
    message: 'Participant projected address not provided',
    when: 'an identity joins a group MMS without a projected address',
  },
  sameGroup: {
    code: 50438,
    status: 409,
    message: 'Group MMS with given participant list already exists as Conversation {conversation_sid}',
    when: 'another open conversation of the account has the same numbers as this one would have',
  },
  groupMemberExists: {
    code: 50437,
    status: 409,
    message: 'Group Participant already exists',
    when: 'the address is in the group conversation already',
  },
  bodyMissing: {
    code: 50503,
    status: 400,
    message: 'Message body not provided',
    when: 'a message with no Body, MediaSid or ContentSid',
  },
  bodyTooLong: { code: 50504, status: 400, message: 'Message body parameter is too long', when: 'Body is over 32 KB' },
  mediaNotFound: { code: 50507, status: 400, message: 'Media not found', when: 'MediaSid names nothing uploaded to the service' },
  mediaUsed: {
    code: 50508,
    status: 400,
    message: 'Media already sent with another message',
    when: 'MediaSid is in another message, or media that a message carries is deleted',
  },
  invalidMediaSid: {
    code: 50510,
    status: 400,
    message: 'Invalid message media SID',
    when: 'MediaSid is not ME and 32 hex digits',
  },
  invalidMediaType: {
    code: 50511,
    status: 400,
    message: 'Invalid message media content type',
    when: 'the Content-Type of an upload is not type/subtype, or is multipart',
  },
  mediaTooLarge: {
    code: 50512,
    status: 413,
    message: 'Message media size is too large',
    when: 'an upload is over PARLEY_MEDIA_MAX_BYTES',
  },
  messageIndexNotNumber: {
    code: 50516,
    status: 400,
    message: 'Message index is not a number',
    when: 'a message index is not an integer',
  },
  authorNotInGroup: {
    code: 50513,
    status: 400,
    message: 'Message author should be among Group MMS participants.',
    when: 'a message to a group MMS names an author who is not in it',
  },
  invalidContentSid: { code: 50526, status: 400, message: 'Invalid content SID', when: 'ContentSid is not HX and 32 hex digits' },
  invalidContentVariables: {
    code: 50527,
    status: 400,
    message: 'Invalid content variables format',
    when: 'ContentVariables are not a JSON object',
  },
  contentSidMissing: {
    code: 50528,
    status: 400,
    message: 'Content SID is missing',
    when: 'ContentVariables without a ContentSid',
  },
  contentVariablesTooLong: {
    code: 50529,
    status: 400,
    message: 'Content variables are too long',
    when: 'ContentVariables are over 27,801 characters',
  },
  contentKeyTooLong: {
    code: 50540,
    status: 400,
    message: 'Content variable key is too long',
    when: 'a key of ContentVariables is over 16 characters',
  },
  contentValueTooLong: {
    code: 50541,
    status: 400,
    message: 'Content variable value is too long',
    when: 'a value of ContentVariables is over 256 characters',
  },
} as const satisfies Record<string, ErrorEntry>

export type ErrorName = keyof typeof catalogue

/** The body every error answer has, in the vendor's key order. */
export interface ErrorBody {
  code: number
  message: string
  more_info: string
  status: number
}

/** A refusal the caller is told about. Crosses from the writer thread as its name and details. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly entry: ErrorEntry
  readonly kind: ErrorName
  readonly details: Readonly<Record<string, string>>

  constructor(kind: ErrorName, details: Readonly<Record<string, string>> = {}) {
    const entry: ErrorEntry = catalogue[kind]
    super(entry.message.replace(/\{(\w+)\}/g, (_, name: string) => details[name] ?? ''))
    this.kind = kind
    this.entry = entry
    this.details = details
  }

  body(): ErrorBody {
    const { code, status } = this.entry
    return { code, message: this.message, more_info: `https://www.twilio.com/docs/errors/${code}`, status }
  }
}

/** Returns a refusal, an ApiError that becomes the response: `throw refuse('notFound', { path })`. */
export function refuse(kind: ErrorName, details?: Readonly<Record<string, string>>): ApiError {
  return new ApiError(kind, details)
}

/** Whether an error says that the program or its database failed. Storage, which throws it, has logged the cause. */
export function isFailure(error: unknown): boolean {
  return error instanceof ApiError && error.entry.status >= 500
}

/** Returns what was thrown as an error: JavaScript may throw anything. */
export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`a ${typeof thrown} was thrown`, { cause: thrown })
}

/** Returns the `code` of an error of the system, of a driver or of Parley; undefined when it has none. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
