import { parseJsonObject } from '../../json.ts'
import type { ChannelIo, ChannelKind } from '../adapter.ts'
import { send } from './send.ts'
import { accountUrl, basicAuth, problem, settings, type TwilioSettings } from './settings.ts'
import { webhook } from './webhook.ts'

/** Numbers at the vendor, or at a carrier with the same Messages API. */
export const twilio: ChannelKind<TwilioSettings> = {
  name: 'twilio',
  description: 'SMS, MMS, WhatsApp, Messenger and RCS over the Messages API of Twilio, or of a carrier that has the same',
  serves: ['sms', 'whatsapp', 'messenger', 'rcs'],
  settings,
  problem,
  can: { text_length: 1600, media: { types: ['*/*'], bytes: 16 * 1024 * 1024, count: 10 }, template: true },
  send,
  webhook,
  check,
}

/** Whether the carrier knows the account and its credentials. */
async function check(given: TwilioSettings, io: ChannelIo): Promise<{ ok: boolean; says: string }> {
  const response = await io.request({
    method: 'GET',
    url: accountUrl(given),
    headers: { authorization: basicAuth(given), accept: 'application/json' },
  })
  const code = response.status
  if (code === 401 || code === 403) return { ok: false, says: 'The carrier refuses the credentials.' }
  if (code === 404) return { ok: false, says: 'The carrier does not know the account, or has no Messages API at base_url.' }
  const account = code === 200 ? parseJsonObject(response.body.toString()) : undefined
  if (account?.sid !== given.account_sid) return { ok: false, says: `The carrier responded ${code} in an unknown form.` }
  const status = typeof account.status === 'string' ? account.status.slice(0, 40) : 'in an unknown state'
  return { ok: status === 'active', says: `The account is ${status}.` }
}
