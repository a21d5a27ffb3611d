/**
 * The client SDK that a run of the tests uses: `PARLEY_TEST_CLIENT_SDK`, which a vitest project sets, or the newest. The types are
 * those of the newest: what the tests use has not changed since 2.4.
 */
const packages = {
  '2.4.1': () => import('twilio-conversations-2.4'),
  '2.6.5': () => import('twilio-conversations-2.6'),
  '3.0.1': () => import('@twilio/conversations'),
}

const version = process.env.PARLEY_TEST_CLIENT_SDK ?? '3.0.1'
if (!(version in packages)) throw new Error(`PARLEY_TEST_CLIENT_SDK is one of ${Object.keys(packages).join(', ')}`)

// Compared by their private members, classes of two versions are never alike.
const loaded: unknown = await packages[version as keyof typeof packages]()

export const { Client: ClientSdk } = loaded as typeof import('@twilio/conversations')
