import { parseJsonObject } from '../json.ts'
import { type Accepted, type ChannelKind, type HttpResponse, type Outbound, RefusedError, RetryError } from './adapter.ts'
import { urlSetting, type ValuesOf } from './settings.ts'
import { errorCodeOf, receiptStatuses, unknownError } from './statuses.ts'

const settings = {
  url: urlSetting({ description: 'http or https URL of the endpoint; it may contain a user name and password' }),
}

/** Hands each message to an endpoint of the operator's, as a signed form. */
export const webhook: ChannelKind<ValuesOf<typeof settings>> = {
  name: 'webhook',
  description: 'A program of your own, which each message is sent to',
  serves: ['sms', 'whatsapp', 'messenger', 'rcs', 'email'],
  settings,
  can: {
    text_length: Number.MAX_SAFE_INTEGER,
    media: { types: ['*/*'], bytes: Number.MAX_SAFE_INTEGER, count: 100 },
    template: true,
    subject: true,
  },
  send: async ({ url }, out, io) => acceptedBy(await io.signed({ url, form: formOf(out), key: out.key })),
}

function formOf({ sids, author, to, from, subject, text, html, media, content, tries }: Outbound): Record<string, string> {
  const told = media.map((one) => ({
    Sid: one.sid,
    Filename: one.filename,
    ContentType: one.content_type,
    Size: one.size,
    Url: one.url(),
  }))
  return {
    AccountSid: sids.account,
    ChatServiceSid: sids.service,
    ConversationSid: sids.conversation,
    MessageSid: sids.message,
    ParticipantSid: sids.participant,
    Author: author.identity,
    To: to,
    ...(from !== null && { From: from }),
    ...(subject !== null && { Subject: subject }),
    ...(text !== null && { Body: text }),
    ...(html !== null && { Html: html }),
    ...(told.length > 0 && { Media: JSON.stringify(told) }),
    ...(content && { ContentSid: content.sid, ...(content.variables !== null && { ContentVariables: content.variables }) }),
    RetryCount: String(tries),
  }
}

/** Parses the response: what the endpoint calls the message, and a status, both optional. Throws RetryError or RefusedError. */
function acceptedBy({ status: responseStatus, body }: HttpResponse): Accepted {
  const response = body.toString()
  const {
    sid,
    channel_message_sid = sid,
    external_id = channel_message_sid,
    status,
    error_code,
  } = parseJsonObject(response) ?? {}
  const reported = receiptStatuses.find((candidate) => candidate === status)
  const code = errorCodeOf(error_code)
  if (responseStatus < 200 || responseStatus > 299) {
    const answer = { response_status: responseStatus, response, ...(reported === 'undelivered' && { status: reported }) }
    const message = `HTTP ${responseStatus}`
    if (responseStatus === 429 || responseStatus >= 500) throw new RetryError(message, { ...answer, error_code: code })
    throw new RefusedError(code ?? unknownError, message, answer)
  }
  return {
    external_id: typeof external_id === 'string' ? external_id : null,
    status: reported ?? 'sent',
    ...(code !== null && { error_code: code }),
    response_status: responseStatus,
    response,
  }
}
