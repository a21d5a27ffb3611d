import { parseJsonObject } from '../../json.ts'
import { type Accepted, type ChannelIo, type HttpResponse, type Outbound, RefusedError, RetryError } from '../adapter.ts'
import { errorCodeOf, unknownError } from '../statuses.ts'
import { accountUrl, basicAuth, type TwilioSettings } from './settings.ts'
import { reportedStatus } from './status.ts'

/** Creates a message at the carrier. */
export async function send(settings: TwilioSettings, out: Outbound, io: ChannelIo): Promise<Accepted> {
  const response = await io.request({
    method: 'POST',
    url: accountUrl(settings, 'Messages.json'),
    headers: {
      authorization: basicAuth(settings),
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
      // The vendor ignores it for messages; carriers and proxies that know it send a repeated message once.
      'i-twilio-idempotency-token': out.key,
    },
    body: messageForm(settings, out, io.webhook_url).toString(),
  })
  return accepted(response)
}

/** Returns the parameters of the message. */
function messageForm(settings: TwilioSettings, out: Outbound, webhook_url: string): URLSearchParams {
  const form = new URLSearchParams({ To: out.to })
  if (out.from !== null) form.append('From', out.from)
  if (settings.messaging_service_sid !== null) form.append('MessagingServiceSid', settings.messaging_service_sid)
  if (out.content && settings.templates === 'sid') {
    form.append('ContentSid', out.content.sid)
    if (out.content.variables !== null) form.append('ContentVariables', out.content.variables)
  } else {
    if (out.text !== null) form.append('Body', out.text)
    for (const media of out.media) form.append('MediaUrl', media.url())
  }
  form.append('StatusCallback', webhook_url)
  return form
}

/** Returns what the carrier made of the message. Throws RetryError or RefusedError. */
function accepted({ status, body }: HttpResponse): Accepted {
  const message = parseJsonObject(body.toString()) ?? {}
  const { sid, code } = message
  const errorCode = errorCodeOf(message.error_code ?? code)
  const answer = { response_status: status, response: summary(message) }
  if (status === 429 || status >= 500) {
    throw new RetryError(`the carrier responded ${status}`, { error_code: errorCode, ...answer })
  }
  if (status < 200 || status > 299) {
    throw new RefusedError(errorCode ?? unknownError, `the carrier responded ${status}${named(errorCode)}`, answer)
  }
  if (typeof sid !== 'string' || sid === '') {
    throw new RefusedError(unknownError, 'the response is not that of a Messages API: check base_url', answer)
  }
  const reported = reportedStatus(typeof message.status === 'string' ? message.status : '')
  const bad = reported === 'failed' || reported === 'undelivered'
  return { external_id: sid, status: reported ?? 'sent', ...(bad && { error_code: errorCode ?? unknownError }), ...answer }
}

function named(errorCode: number | null): string {
  return errorCode === null ? '' : ` with code ${errorCode}`
}

/** What the delivery log shows of a response: what became of the message, not the message. */
function summary(response: Readonly<Record<string, unknown>>): string {
  const shown = ['sid', 'status', 'code', 'message', 'error_code', 'num_segments']
  return JSON.stringify(Object.fromEntries(shown.map((name) => [name, brief(response[name])])))
}

/** Leaves out what is neither a text nor a number. */
function brief(value: unknown): string | number | undefined {
  return typeof value === 'string' || typeof value === 'number' ? value : undefined
}
