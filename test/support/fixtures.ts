import { test as base } from 'vitest'
import { startFileServer } from './file-server.ts'
import { startServer, type TestServer } from './server.ts'
import { newTenant } from './tenant.ts'
import { catchWebhooks } from './webhook-catcher.ts'

/**
 * Starting a server is what costs. The tests of a file share one, which starts when the first of them asks for it, and each has an
 * account of its own on it, the `tenant`; the `catcher` is an endpoint that knows the tenant's token. The clock is shared as well:
 * it only moves ahead. A test that changes what accounts share, or needs other settings, starts a server of its own with `startServer`.
 */
export function testOn<Server extends TestServer>(start: () => Promise<Server>) {
  return (
    base
      // biome-ignore lint/correctness/noEmptyPattern: Vitest reads from the pattern which fixtures this one needs.
      .extend('server', { scope: 'file' }, async ({}, { onCleanup }) => {
        const server = await start()
        onCleanup(server.stop)
        return server
      })
      .extend('tenant', async ({ server }) => newTenant(server))
      .extend('catcher', async ({ tenant }, { onCleanup }) => {
        const catcher = await catchWebhooks({ authToken: tenant.auth_token })
        onCleanup(catcher.close)
        return catcher
      })
  )
}

export const test = testOn(startServer)

/** The same with a server whose database a test can look into. */
export const testWithRows = testOn(() => startFileServer())
