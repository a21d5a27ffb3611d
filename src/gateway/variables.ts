import type { TrustFiles } from './trust.ts'

/** What a program is given so that its SDK talks to Parley, whatever language it is written in. */
export interface Variables {
  readonly set: Readonly<Record<string, string>>
  /** They would take precedence over those that are set. */
  readonly unset: readonly string[]
}

export interface Credentials {
  readonly accountSid: string
  readonly authToken: string
}

/** Any: nothing in the store is secret. */
const storePassword = 'changeit'

/**
 * Returns the variables for a program with the environment `env`. All languages are served at once: which one it is written in, and
 * what it starts itself, cannot be known.
 */
export function variablesFor(
  proxyUrl: string,
  trust: TrustFiles,
  { accountSid, authToken }: Credentials,
  env: Readonly<Record<string, string | undefined>>,
): Variables {
  const { hostname, port } = new URL(proxyUrl)
  // Hosts that were excepted before are excepted by the proxy itself: here, `*` or `.com` would lead around it.
  const withoutProxy = 'localhost,127.0.0.1,::1'
  const java = [
    `-Dhttps.proxyHost=${hostname}`,
    `-Dhttps.proxyPort=${port}`,
    `-Djavax.net.ssl.trustStore=${trust.java}`,
    `-Djavax.net.ssl.trustStorePassword=${storePassword}`,
  ].map((option) => (/\s/.test(option) ? `"${option}"` : option))
  return {
    set: {
      TWILIO_ACCOUNT_SID: accountSid,
      TWILIO_AUTH_TOKEN: authToken,
      // Node reads HTTP_PROXY, even for https; most others read HTTPS_PROXY. Where both cases are set, the lower one may win.
      HTTP_PROXY: proxyUrl,
      http_proxy: proxyUrl,
      HTTPS_PROXY: proxyUrl,
      https_proxy: proxyUrl,
      NO_PROXY: withoutProxy,
      no_proxy: withoutProxy,
      // Without it, Node's own `fetch` ignores the proxy (24, and 22.21 or later in 22; older ones do in any case).
      NODE_USE_ENV_PROXY: '1',
      NODE_EXTRA_CA_CERTS: trust.node,
      // Python.
      REQUESTS_CA_BUNDLE: trust.bundle,
      // Go, Ruby, .NET, the asynchronous client of Python, and whatever uses OpenSSL.
      SSL_CERT_FILE: trust.bundle,
      // An empty entry stands for the folder that PHP was built with.
      PHP_INI_SCAN_DIR: `${env.PHP_INI_SCAN_DIR ?? ''}:${trust.php}`,
      JAVA_TOOL_OPTIONS: [env.JAVA_TOOL_OPTIONS ?? '', ...java].join(' ').trim(),
    },
    unset: ['ALL_PROXY', 'all_proxy', 'SSL_CERT_DIR', 'CURL_CA_BUNDLE'],
  }
}
