import { expect, test } from 'vitest'
import { TestClock } from '../clock.ts'
import type { WebhookClient } from '../delivery/client.ts'
import { Vault } from '../vault.ts'
import { Carriers } from './carrier.ts'

test('a provider has the longer to respond the more it is sent', async () => {
  const timeouts: number[] = []
  const client: Pick<WebhookClient, 'request'> = {
    request: async (_request, timeoutMs) => {
      timeouts.push(timeoutMs)
      return { kind: 'answered', status: 200, headers: {}, bytes: Buffer.alloc(0), error: null, duration_ms: 0 }
    },
  }
  const carriers = new Carriers({
    read: { one: async () => undefined } as never,
    client: client as WebhookClient,
    vault: new Vault('0'.repeat(64)),
    clock: new TestClock(),
    publicUrl: () => 'https://parley.example',
    warn: () => {},
  })
  const { request } = carriers.io({ account_sid: '', sid: '', address: '' }, new AbortController().signal)
  for (const body of [undefined, '', 'x'.repeat(1000), new Uint8Array(16_000_000)]) {
    await request({ method: 'POST', url: 'https://carrier.example/', ...(body !== undefined && { body }) })
  }
  expect(timeouts).toEqual([15_000, 15_000, 15_002, 47_000])
})
