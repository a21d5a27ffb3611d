import { isVendorHost } from '../../urls.ts'
import { type ChannelIo, type InboundMedia, RefusedError } from '../adapter.ts'
import { basicAuth, type TwilioSettings } from './settings.ts'

/** What a webhook says of one of its media. */
export interface MediaParams {
  readonly url: string
  readonly content_type: string | null
}

/** The vendor redirects to where the file lies, sometimes more than once. */
const maxRedirects = 3

/**
 * Returns where a medium is fetched. Only the carrier's own hosts get the credentials: it redirects to a store elsewhere, whose URL
 * is enough (observed), and anybody may be named by a carrier with the same API.
 */
export async function inboundMedia(
  settings: TwilioSettings,
  { url, content_type }: MediaParams,
  io: ChannelIo,
): Promise<InboundMedia> {
  let found = url
  for (let redirects = 0; redirects < maxRedirects; redirects++) {
    const target = await redirectTarget(found, headersFor(settings, found), io)
    if (target === undefined) break
    found = target
  }
  return { filename: null, content_type, content: { url: found, headers: headersFor(settings, found) } }
}

/** Returns where a URL leads; undefined when it is the file itself, or may not be called: fetching it will say so. */
async function redirectTarget(
  url: string,
  headers: Readonly<Record<string, string>>,
  io: ChannelIo,
): Promise<string | undefined> {
  try {
    const response = await io.request({ method: 'HEAD', url, headers })
    const location = response.status >= 300 && response.status <= 399 ? (response.headers.location ?? '') : ''
    const target = location !== '' && URL.canParse(location, url) ? new URL(location, url) : undefined
    return target && /^https?:$/.test(target.protocol) ? target.href : undefined
  } catch (error) {
    if (error instanceof RefusedError) return undefined
    throw error
  }
}

function headersFor(settings: TwilioSettings, url: string): Readonly<Record<string, string>> {
  return isCarriers(new URL(url), new URL(settings.base_url)) ? { authorization: basicAuth(settings) } : {}
}

/** Whether a URL is the carrier's: of the same origin as the API, or another host of the vendor's. */
function isCarriers(url: URL, base: URL): boolean {
  if (url.origin === base.origin) return true
  const [isVendor, isVendors] = [base, url].map(({ hostname }) => isVendorHost(hostname))
  return isVendor === true && isVendors === true && url.protocol === 'https:'
}
