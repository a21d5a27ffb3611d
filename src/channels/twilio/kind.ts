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
  const { status, body } = await io.request({
    method: 'GET',
    url: accountUrl(given),
    headers: { authorization: basicAuth(given), accept: 'application/json' },
  })
  if (status === 401 || status === 403) return { ok: false, says: 'The carrier refuses the credentials.' }
  if (status === 404)
    return { ok: false, says: 'The carrier does not know the account, or base_url is not that of a Messages API.' }
  const account = status === 200 ? parseJsonObject(body.toString()) : undefined
  if (account?.sid !== given.account_sid) return { ok: false, says: `The carrier responded ${status} in an unknown form.` }
  const ok = account.status === 'active'
  return { ok, says: ok ? 'The account is active.' : `The account is ${String(account.status).slice(0, 40)}.` }
}
