import { onTestFinished, test } from 'vitest'
import { RawClient } from '../support/client.ts'
import { startServer } from '../support/server.ts'

test('a connection that is silent is sent pings, and closed when it acknowledges none', async () => {
  const server = await startServer({}, { clientLimits: { pingAfterMs: 100, deadAfterMs: 2500 } })
  onTestFinished(server.stop)
  const raw = await RawClient.admitted(server, 'ann')
  await raw.next(({ method }) => method === 'ping')
  await raw.next(({ method }) => method === 'ping')
  await raw.closed
})
