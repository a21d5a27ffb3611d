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
  forbidden: { code: 20403, status: 403, message: 'Forbidden', when: 'the account is suspended' },
  notFound: {
    code: 20404,
    status: 404,
    message: 'The requested resource {path} was not found',
    when: 'the resource or a parent of it does not exist, or belongs to another account or service',
  },
  conflict: { code: 20409, status: 409, message: 'Conflict', when: 'the default service of an account is deleted' },
  tooLarge: { code: 20413, status: 413, message: 'Request Entity Too Large', when: 'the body is over the limit' },
  invalidValue: {
    code: 20422,
    status: 400,
    message: 'Invalid Parameter',
    when: 'a parameter holds a NUL character, or a malformed value for which no code of its own exists',
  },
  serverError: { code: 20500, status: 500, message: 'Internal Server Error', when: 'a defect of the server' },
  notBuilt: { code: 20501, status: 501, message: 'Not Implemented', when: 'an official operation that Parley does not have yet' },
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
    when: 'DefaultChatServiceSid names no service of the account',
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

/** `throw refuse('notFound', { path })` */
export function refuse(kind: ErrorName, details?: Readonly<Record<string, string>>): ApiError {
  return new ApiError(kind, details)
}
