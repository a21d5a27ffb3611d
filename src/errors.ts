/** An error of `/v1`: what the response says, and when it is sent. */
export interface ErrorEntry {
  readonly code: number
  readonly status: number
  /** `{name}` is replaced by the detail of this name that is given when the error is raised. */
  readonly message: string
  /** When it is raised; for the page of errors. */
  readonly when: string
}

/**
 * Every error of `/v1`. Codes and messages are Twilio's (from its error dictionary and public captures). A status that is in no
 * capture follows the rule: 409 for a duplicate, 403 for a limit on a number of rows, otherwise 400.
 */
export const catalogue = {
  invalidParameter: {
    code: 20001,
    status: 400,
    message: '{text}',
    when: 'a parameter without an error code of its own is missing or malformed',
  },
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
    when: 'the request has no Authorization header',
  },
  invalidUsername: {
    code: 20003,
    status: 401,
    message: 'Authentication Error - invalid username',
    when: 'the user name is neither an account SID nor an API key SID',
  },
  authenticate: {
    code: 20003,
    status: 401,
    message: 'Authenticate',
    when: 'the account or API key is unknown, or its auth token or secret is wrong',
  },
  tokenInvalid: {
    code: 20101,
    status: 401,
    message: 'Invalid Access Token',
    when: 'an access token of a client SDK is malformed, or signed by another algorithm than HS256, HS384 or HS512',
  },
  tokenIssuer: {
    code: 20103,
    status: 401,
    message: 'Invalid Access Token issuer/subject',
    when: 'the API key or the account of an access token does not exist',
  },
  tokenExpired: {
    code: 20104,
    status: 401,
    message: 'Access Token expired or expiration date invalid',
    when: 'an access token has expired, or is valid for more than 24 hours',
  },
  tokenNotYetValid: {
    code: 20105,
    status: 401,
    message: 'Access Token not yet valid',
    when: 'the nbf of an access token is in the future',
  },
  tokenGrants: {
    code: 20106,
    status: 401,
    message: 'Invalid Access Token grants',
    when: 'an access token has no identity, no chat grant, or names a service that does not exist',
  },
  tokenSignature: {
    code: 20107,
    status: 401,
    message: 'Invalid Access Token signature',
    when: 'an access token is not signed with the secret of its API key',
  },
  methodNotAllowed: { code: 20004, status: 405, message: 'Method not allowed', when: 'the path does not support the method' },
  forbidden: {
    code: 20403,
    status: 403,
    message: 'Forbidden',
    when: 'the account is suspended, a temporary media URL has expired, or a page of another site writes with credentials of the browser',
  },
  notFound: {
    code: 20404,
    status: 404,
    message: 'The requested resource {path} was not found',
    when: 'the resource or a parent of it does not exist, or belongs to another account or service',
  },
  requestTimeout: {
    // The vendor documents no code for it.
    code: 20408,
    status: 408,
    message: 'Request Timeout',
    when: 'the head of a request takes over 20 seconds, or the body of a form over 30',
  },
  misdirected: {
    // The vendor documents no code for it.
    code: 20421,
    status: 421,
    message: 'Misdirected Request',
    when: 'the `Host` header names another server; see PARLEY_ALLOWED_HOSTS',
  },
  conflict: {
    code: 20409,
    status: 409,
    message: 'Conflict',
    when: 'an address already has a configuration, or a request deletes the default service of an account or a default role of a service',
  },
  tooLarge: { code: 20413, status: 413, message: 'Request Entity Too Large', when: 'the body exceeds the limit' },
  invalidValue: {
    code: 20422,
    status: 400,
    message: 'Invalid Parameter',
    when: 'a parameter contains a NUL character, or a malformed value without an error code of its own',
  },
  encodingNotSupported: {
    // The vendor documents no code for it.
    code: 20415,
    status: 415,
    message: 'Unsupported Media Type',
    when: 'the body has a `Content-Encoding`: Parley does not decompress bodies',
  },
  rangeNotSatisfiable: {
    // The vendor documents no code for it.
    code: 20416,
    status: 416,
    message: 'Range Not Satisfiable',
    when: 'the range of a download lies beyond the end of the file',
  },
  mediaQuotaExceeded: {
    // Of Parley's own: the vendor has no quota, and its dictionary no such code. Not 507: SDKs repeat a request on 5xx.
    code: 20507,
    status: 403,
    message: 'Media quota of the account exceeded',
    when: 'an upload would take the files of the account over PARLEY_MEDIA_QUOTA_BYTES',
  },
  tooManyRequests: {
    code: 20429,
    status: 429,
    message: 'Too Many Requests',
    when: 'an address or an account has had too many failed logins; `Retry-After` says how long to wait',
  },
  serverError: { code: 20500, status: 500, message: 'Internal Server Error', when: 'the server fails because of a defect' },
  unavailable: { code: 20503, status: 503, message: 'Service unavailable', when: 'the database cannot process the request now' },
  invalidPageToken: { code: 21481, status: 400, message: 'Invalid PageToken', when: 'PageToken was not issued for this list' },
  friendlyNameTooLong: {
    code: 50003,
    status: 400,
    message: 'Friendly name too long',
    when: 'FriendlyName exceeds 256 characters, or 64 for a role or a credential',
  },
  uniqueNameTooLong: { code: 50004, status: 400, message: 'Unique Name too long', when: 'UniqueName exceeds 256 characters' },
  serviceNotFound: {
    code: 50050,
    status: 400,
    message: 'Service Instance not found',
    when: 'DefaultChatServiceSid or AutoCreation.ConversationServiceSid is not the SID of a service of the account',
  },
  invalidWebhook: {
    code: 50054,
    status: 400,
    message: 'Invalid webhook format',
    when: 'a webhook filter or target is unknown',
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
    when: 'a notification template exceeds 1024 characters',
  },
  notificationSoundTooLong: {
    code: 50059,
    status: 400,
    message: 'Notification sound name too long',
    when: 'the name of a notification sound exceeds 1024 characters',
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
    when: 'a role SID is not that of a role of the service',
  },
  serviceRoleNotFound: {
    code: 50102,
    status: 400,
    message: 'Deployment role not found',
    when: 'a role of type service is required, and the given one has another type',
  },
  permissionNotFound: {
    code: 50104,
    status: 400,
    message: 'Permission not found',
    when: 'a permission is unknown or not available to roles of this type',
  },
  invalidRoleType: {
    code: 50105,
    status: 400,
    message: 'Invalid role type',
    when: 'the Type of a role is neither conversation nor service',
  },
  conversationRoleNotFound: {
    code: 50109,
    status: 400,
    message: 'Conversation role not found',
    when: 'a role of type conversation is required, and the given one has another type',
  },
  attributesTooLong: { code: 50303, status: 400, message: 'Attributes too long', when: 'Attributes exceeds 16 KB' },
  attributesNotJson: { code: 50304, status: 400, message: 'Attributes not valid JSON', when: 'Attributes is not valid JSON' },
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
    when: 'a messaging service SID is not MG and 32 hex digits',
  },
  foreignMessagingService: {
    code: 50342,
    status: 400,
    message: 'Messaging service does not belong to account',
    when: 'a messaging service SID is that of the messaging service which Parley has made for another account',
  },
  uniqueNameTaken: {
    code: 50353,
    status: 409,
    message: 'Conversation with provided unique name already exists',
    when: 'another conversation of the service, open or closed, has the same UniqueName',
  },
  tooManyConversationWebhooks: {
    code: 50361,
    status: 400,
    message: 'Too many conversation webhooks',
    when: 'a conversation already has five webhooks',
  },
  tooManyConversationWebhookTriggers: {
    code: 50362,
    status: 400,
    message: 'Too many conversation webhook triggers',
    when: 'a webhook has more than five triggers',
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
    when: 'a trigger is empty or exceeds 248 characters',
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
    when: 'a webhook with target webhook or trigger has no Configuration.Url',
  },
  conversationWebhookFilterNotProvided: {
    code: 50370,
    status: 400,
    message: 'Conversation webhook filter not provided',
    when: 'a webhook with target webhook has no Configuration.Filters',
  },
  conversationWebhookTriggerNotProvided: {
    code: 50371,
    status: 400,
    message: 'Conversation webhook trigger not provided',
    when: 'a webhook with target trigger has no Configuration.Triggers',
  },
  conversationWebhookUrlTooLong: {
    code: 50372,
    status: 400,
    message: 'Conversation webhook URL is too long',
    when: 'Configuration.Url exceeds 512 characters',
  },
  emptyState: { code: 50374, status: 400, message: "'State' field can't be empty", when: 'State is empty' },
  inactiveTimerTooShort: {
    code: 50375,
    status: 400,
    message: 'TimeToInactive should be greater or equal to 1 minute',
    when: 'an inactive timer is shorter than PT1M',
  },
  closedTimerTooShort: {
    code: 50376,
    status: 400,
    message: 'TimeToClosed should be greater or equal to 10 minutes',
    when: 'a closed timer is shorter than PT10M',
  },
  conversationClosed: {
    code: 50377,
    status: 400,
    message: "Can't update conversation as it's in final closed state",
    when: 'a request changes a closed conversation in any way but deleting it',
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
    when: 'an inactive timer is not an ISO 8601 duration, or has years or months',
  },
  invalidClosedTimer: {
    code: 50380,
    status: 400,
    message: 'TimeToClosed format is invalid',
    when: 'a closed timer is not an ISO 8601 duration, or has years or months',
  },
  initiallyClosed: {
    code: 50384,
    status: 400,
    message: "Initial state can't be 'closed",
    when: 'a conversation is created with State=closed',
  },
  uniqueNameLikeSid: {
    code: 50390,
    status: 400,
    message: 'Unique name should not match conversation sid pattern',
    when: 'UniqueName has the form of a conversation SID',
  },
  userUnauthorized: {
    code: 50107,
    status: 403,
    message: 'User unauthorized for command',
    when: 'a user of a client SDK has no role with the permission that a command needs',
  },
  conversationNotFound: {
    code: 50350,
    status: 404,
    message: 'Conversation not found',
    when: 'a command of a client SDK names a conversation that does not exist',
  },
  notParticipant: {
    code: 50430,
    status: 403,
    message: 'User not participant of conversation',
    when: 'a user of a client SDK is neither in a conversation nor its creator, nor has a role that concerns all of them',
  },
  syncForbidden: {
    code: 54007,
    status: 403,
    message: 'Access forbidden for identity',
    when: 'a client SDK reads messages, participants or memberships that are not for its user',
  },
  syncObjectNotFound: {
    code: 54300,
    status: 404,
    message: 'Unique name not found',
    when: 'a client SDK opens a list, map or document that does not exist',
  },
  userExists: {
    code: 50201,
    status: 409,
    message: 'User already exists',
    when: 'another user of the service has the same Identity',
  },
  identityReserved: { code: 50203, status: 400, message: 'Identity reserved', when: 'Identity is system' },
  identityNotProvided: {
    code: 50204,
    status: 400,
    message: 'Identity not provided',
    when: 'a participant has neither an identity nor an address nor a projected address',
  },
  roleNotSettable: {
    code: 50205,
    status: 403,
    message: 'User unauthorized to set role',
    when: 'a user of a client SDK adds a participant with a role',
  },
  identityLikeSid: {
    code: 50206,
    status: 400,
    message: 'Identity should not match user SID pattern',
    when: 'Identity has the form of a user SID',
  },
  identityTooLong: { code: 50207, status: 400, message: 'Identity too long', when: 'Identity exceeds 256 characters' },
  identityNotAcceptable: {
    code: 50211,
    status: 400,
    message: 'Identity parameter not acceptable for this Participant',
    when: 'a participant has both an identity and an address',
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
    when: 'the identity already is in 1,000 open conversations',
  },
  authorTooLong: { code: 50310, status: 400, message: 'Author parameter is too long', when: 'Author exceeds 256 characters' },
  conversationInitializing: {
    code: 50386,
    status: 400,
    message: "Conversation in 'initializing' state may not be updated or used for message sending",
    when: 'a request changes a conversation whose state is initializing',
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
    when: 'an address has an unknown format or not that of MessagingBinding.Type, or a projected address beside it',
  },
  invalidProxyAddress: {
    code: 50408,
    status: 400,
    message: 'Invalid participant proxy address',
    when: 'a proxy address has an unknown format',
  },
  equalAddresses: {
    code: 50409,
    status: 400,
    message: 'Participant address equals proxy address',
    when: 'the address equals the proxy address',
  },
  emptyAddress: {
    code: 50411,
    status: 400,
    message: 'Participant address is empty',
    when: 'a participant has a proxy address but no address',
  },
  emptyProxyAddress: {
    code: 50412,
    status: 400,
    message: 'Participant proxy address is empty',
    when: 'a participant has an address but no proxy address',
  },
  addressTypeMismatch: {
    code: 50414,
    status: 400,
    message: 'Participant address type does not match proxy address type',
    when: 'the address and the proxy address belong to different channels',
  },
  pairHeld: {
    code: 50416,
    status: 409,
    message: 'A binding for this participant and proxy address already exists in Conversation {conversation_sid}',
    when: 'another open conversation of the account has the same address and proxy address',
  },
  pairsHeld: {
    code: 50425,
    status: 409,
    message: 'Participant and proxy address pairs for one or more participants already in use.',
    when: 'ConversationWithParticipants names an address and proxy address that another open conversation of the account has',
  },
  participantLimit: {
    code: 50417,
    status: 403,
    message: 'Participants limit exceeded',
    when: 'the conversation already has 1,000 participants',
  },
  nonChatLimit: {
    code: 50418,
    status: 403,
    message: 'Non-Chat participants limit exceeded',
    when: 'the conversation already has 50 participants with an address',
  },
  bindingParametersNotSupported: {
    code: 50420,
    status: 400,
    message: 'Participant Messaging Binding type does not support all of the provided Messaging Binding parameters',
    when: 'MessagingBinding.Level or MessagingBinding.Name of a participant without a mail address',
  },
  invalidLastReadIndex: {
    code: 50421,
    status: 400,
    message: 'Invalid last read message index format',
    when: 'LastReadMessageIndex is not an integer of at least 0',
  },
  invalidParticipant: {
    code: 50424,
    status: 400,
    message: 'One of the JSON requests for participant creation is invalid.',
    when: 'a Participant of ConversationWithParticipants is not a JSON object of strings',
  },
  tooManyParticipants: {
    code: 50426,
    status: 400,
    message: 'Request contains too many participants.',
    when: 'ConversationWithParticipants has more than 10 participants',
  },
  participantExists: {
    code: 50433,
    status: 409,
    message: 'Participant already exists',
    when: 'the identity or the mail address already is in the conversation',
  },
  proxyNotSupported: {
    code: 50453,
    status: 400,
    message: 'Proxy Address of participant is not supported for this channel',
    when: 'a participant with a mail address has a proxy address',
  },
  oneUserIdentifier: {
    code: 50451,
    status: 400,
    message: 'One user identifier parameter for lookup at a time is allowed. Please, use either Identity or Address.',
    when: 'ParticipantConversations has both Identity and Address',
  },
  groupNotActivated: {
    code: 50435,
    status: 400,
    message: 'Group MMS activation failed.',
    when: 'a message is sent to a group MMS with fewer than three numbers, or with an identity that has no projected address',
  },
  groupLimit: {
    code: 50436,
    status: 403,
    message: 'Participant limit exceeded for group conversation',
    when: 'the group conversation already has 10 members',
  },
  proxyNotRemoved: {
    code: 50440,
    status: 400,
    message: 'Failed to remove the proxy address of a participant.',
    when: 'the participant has no proxy address to remove',
  },
  proxyNotAdded: {
    code: 50441,
    status: 400,
    message: 'Failed to add a proxy address to a participant.',
    when: 'the participant already has a proxy address, or has no address',
  },
  projectionNotRemoved: {
    code: 50442,
    status: 400,
    message: 'Failed to remove the projected address of a participant.',
    when: 'the participant has no projected address to remove, or nothing else',
  },
  projectionNotAdded: {
    code: 50443,
    status: 400,
    message: 'Failed to add a projected address to a participant.',
    when: 'the participant already has an address',
  },
  identityNotAdded: {
    code: 50444,
    status: 400,
    message: 'Failed to add an identity to a participant.',
    when: 'the participant has no projected address',
  },
  projectedAddressMissing: {
    code: 50434,
    status: 400,
    message: 'Participant projected address not provided',
    when: 'a participant joins a group MMS with an identity but no projected address',
  },
  sameGroup: {
    code: 50438,
    status: 409,
    message: 'Group MMS with given participant list already exists as Conversation {conversation_sid}',
    when: 'another open conversation of the account has the phone numbers that this one would have',
  },
  groupMemberExists: {
    code: 50437,
    status: 409,
    message: 'Group Participant already exists',
    when: 'the address already is in the group conversation',
  },
  bodyMissing: {
    code: 50503,
    status: 400,
    message: 'Message body not provided',
    when: 'a message has no Body, MediaSid or ContentSid',
  },
  bodyTooLong: { code: 50504, status: 400, message: 'Message body parameter is too long', when: 'Body exceeds 32 KB' },
  mediaNotFound: {
    code: 50507,
    status: 400,
    message: 'Media not found',
    when: 'MediaSid is not the SID of a file uploaded to the service',
  },
  mediaUsed: {
    code: 50508,
    status: 400,
    message: 'Media already sent with another message',
    when: 'another message has the same MediaSid, or a request deletes the media of a message',
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
    when: 'the Content-Type of an upload or of its part Media is not type/subtype, or its form cannot be parsed',
  },
  mediaTooLarge: {
    code: 50512,
    status: 413,
    message: 'Message media size is too large',
    when: 'an upload exceeds PARLEY_MEDIA_MAX_BYTES',
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
    when: 'a message to a group MMS has no Author, or one that is not a participant',
  },
  invalidContentSid: { code: 50526, status: 400, message: 'Invalid content SID', when: 'ContentSid is not HX and 32 hex digits' },
  invalidContentVariables: {
    code: 50527,
    status: 400,
    message: 'Invalid content variables format',
    when: 'ContentVariables is not a JSON object',
  },
  contentSidMissing: {
    code: 50528,
    status: 400,
    message: 'Content SID is missing',
    when: 'ContentVariables is given without ContentSid',
  },
  contentVariablesTooLong: {
    code: 50529,
    status: 400,
    message: 'Content variables are too long',
    when: 'ContentVariables exceeds 27,801 characters',
  },
  channelMetadataNotFound: {
    code: 50530,
    status: 404,
    message: 'Channel Metadata not found',
    when: 'the channel metadata of a message that has none are fetched',
  },
  contentKeyTooLong: {
    code: 50540,
    status: 400,
    message: 'Content variable key is too long',
    when: 'a key of ContentVariables exceeds 16 characters',
  },
  unsupportedContentType: {
    code: 50542,
    status: 400,
    message: 'Unsupported Content Template Type',
    when: 'the registered template of a ContentSid has no content type that Conversations sends',
  },
  contentValueTooLong: {
    code: 50541,
    status: 400,
    message: 'Content variable value is too long',
    when: 'a value of ContentVariables exceeds 256 characters',
  },
} as const satisfies Record<string, ErrorEntry>

export type ErrorName = keyof typeof catalogue

/** The body of an error response, in the key order of Twilio. */
export interface ErrorBody {
  code: number
  message: string
  more_info: string
  status: number
}

/** An error that the client receives. The writer thread passes it on as its name and details. */
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

/** Returns the error to throw: `throw refuse('notFound', { path })`. */
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
