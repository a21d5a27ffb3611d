import { isVendorHost } from '../../urls.ts'
import type { InboundMedia } from '../adapter.ts'
import { basicAuth, type TwilioSettings } from './settings.ts'

/**
 * Returns where a medium is fetched. Only the carrier's own hosts get the credentials; from there it redirects to a store elsewhere,
 * whose URL is enough (observed).
 */
export function inboundMedia(settings: TwilioSettings, url: string, content_type: string | null): InboundMedia {
  const headers = isCarriers(new URL(url), new URL(settings.base_url)) ? { authorization: basicAuth(settings) } : {}
  return { filename: null, content_type, content: { url, headers } }
}

/** Whether a URL is the carrier's: of the same origin as the API, or another host of the vendor's. */
function isCarriers(url: URL, base: URL): boolean {
  if (url.origin === base.origin) return true
  return url.protocol === 'https:' && isVendorHost(url.hostname) && isVendorHost(base.hostname)
}
