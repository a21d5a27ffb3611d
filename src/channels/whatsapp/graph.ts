import { parseJsonObject } from '../../json.ts'
import { type ChannelIo, type HttpRequest, RefusedError, RetryError } from '../adapter.ts'
import { errorCodeOf, unknownError } from '../statuses.ts'
import { type Fields, fields } from './notification.ts'
import { bearer, type WhatsAppSettings } from './settings.ts'

/**
 * Codes of errors that pass, which Meta reports with various statuses: service unavailable (2), rate limits of the app (4), the
 * account (80007), the number (130429) and the pair of numbers (131056), internal error (131000), overload (131016), server down
 * (133004), maintenance (131057).
 */
const passing = [2, 4, 80007, 130429, 131000, 131016, 131056, 131057, 133004]

/** The response to a request that succeeded. */
export interface GraphResponse {
  readonly status: number
  readonly json: Fields
}

/** Calls the Graph API. Throws RetryError or RefusedError with the code of Meta's error. */
export async function callGraph(settings: WhatsAppSettings, io: ChannelIo, request: HttpRequest): Promise<GraphResponse> {
  const headers = { accept: 'application/json', ...request.headers, authorization: bearer(settings) }
  const { status, body } = await io.request({ ...request, headers })
  const json = parseJsonObject(body.toString())
  if (status >= 200 && status <= 299 && json) return { status, json }
  throw errorOf(status, fields(json?.error))
}

/** Calls the Graph API with a JSON body. */
export function postGraph(settings: WhatsAppSettings, io: ChannelIo, url: string, body: object): Promise<GraphResponse> {
  return callGraph(settings, io, {
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

function errorOf(status: number, error: Fields): RetryError | RefusedError {
  const { message, is_transient, fbtrace_id } = error
  const code = errorCodeOf(error.code)
  const { details } = fields(error.error_data)
  const answer = { response_status: status, response: [code, message, details, fbtrace_id].filter(isBrief).join('; ') }
  const says = `Meta responded ${status}${code === null ? '' : ` with code ${code}`}`
  const passes = status === 429 || status >= 500 || is_transient === true || (code !== null && passing.includes(code))
  return passes ? new RetryError(says, { error_code: code, ...answer }) : new RefusedError(code ?? unknownError, says, answer)
}

function isBrief(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number'
}
