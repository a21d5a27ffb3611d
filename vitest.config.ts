import { fileURLToPath } from 'node:url'
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'

/*
 * Each file runs in at most one project of each engine:
 *
 *   npm test           sqlite          everything that is quick
 *                      postgres        of it, where the engines differ most: `engines_differ`
 *   npm run test:all   sqlite-more     what takes long: `slow`
 *   adds               postgres-more   `slow`, test/nodes, and everything else on PostgreSQL, too
 *                      client-sdk-…    `client_sdk` once more, with earlier versions of the client SDK
 *
 * One file on one engine, wherever it belongs: `vitest run --project 'postgres*' test/sdk/users.test.ts`.
 */

/** Where the engines are likeliest to differ, kept short: `npm test` takes less than two minutes on two idle cores. */
const engines_differ = [
  'test/storage/{database,distribution,failures,migrations,plans,removal,stop}.test.ts',
  'test/sdk/{email,first}.test.ts',
  'test/webhooks/{dropped,pinned}.test.ts',
  'test/client/model.test.ts',
]

/** Starts processes or databases of its own, waits for time to pass, or goes through thousands of steps. */
const slow = [
  'test/channel/crash.test.ts',
  'test/browser/*.test.ts',
  'test/cli/*.test.ts',
  'test/client/{faults,sdk-lists,silence}.test.ts',
  'test/console/*.test.ts',
  'test/deploy/*.test.ts',
  'test/package/*.test.ts',
  'test/audit/*.test.ts',
  'test/admin/{delivery-filters,delivery-responses,key-rotation,openid,retention,search,search-twin,targets,test-mode}.test.ts',
  'test/fuzz/{fuzz,hosted}.test.ts',
  'test/http/{request-limits,waiting-writes}.test.ts',
  'test/storage/{away,durability,sending,sqlite/{damage,nearly-full}}.test.ts',
  'test/testing/processes.test.ts',
  'test/sdk/chat-model.test.ts',
  'test/mail/{checks,hostile,imap}.test.ts',
  'test/media/{bucket,move}.test.ts',
  'test/privacy/*.test.ts',
  'test/moving/*.test.ts',
  'test/mirror/*.test.ts',
  'test/gateway/gateway.test.ts',
  'test/push/{failures,push}.test.ts',
  'test/readers/*.test.ts',
  'test/webhooks/{timers,url-credentials}.test.ts',
  'test/support/postgres.test.ts',
]

/** What the official client SDK does. */
const client_sdk = 'test/client/{sdk,sdk-*,media,model,reconnect}.test.ts'

/** Only on PostgreSQL can there be several. */
const nodes = 'test/nodes/*.test.ts'
const sqlite_only = 'test/{readers,storage/sqlite}/*.test.ts'
/** These meet no database, or always the same one. */
const no_engine = [
  'test/*.test.ts',
  'test/browser/*.test.ts',
  'test/support/*.test.ts',
  'test/deploy/*.test.ts',
  'test/fuzz/{checks,generator,soak,watch}.test.ts',
]

// What a worker or a started process has compiled once need not be compiled by the next.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url))

function project(
  name: string,
  engine: 'sqlite' | 'postgres',
  { include, exclude }: { include: string[]; exclude: string[] },
  env: Record<string, string> = {},
): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: {
      name,
      env: { PARLEY_TEST_ENGINE: engine, ...env },
      include,
      exclude,
      ...(engine === 'postgres' && { globalSetup: 'test/support/postgres-setup.ts' }),
    },
  }
}

export default defineConfig({
  test: {
    // Two cores: each file brings a server, on SQLite with a writer thread.
    maxWorkers: 2,
    // What a file imports is loaded once for each worker, not once for each file: the official client alone takes half a second.
    isolate: false,
    // Bounds against hangs: no test is about how quick it is.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 120_000, interval: 10 } },
    projects: [
      project('sqlite', 'sqlite', { include: ['src/**/*.test.ts', 'test/**/*.test.ts'], exclude: [nodes, ...slow] }),
      project('postgres', 'postgres', { include: engines_differ, exclude: [] }),
      project('sqlite-more', 'sqlite', { include: slow, exclude: [] }),
      project('postgres-more', 'postgres', {
        include: ['test/**/*.test.ts'],
        exclude: [...engines_differ, sqlite_only, ...no_engine],
      }),
      ...['2.4.1', '2.6.5'].map((version) =>
        project(`client-sdk-${version}`, 'sqlite', { include: [client_sdk], exclude: [] }, { PARLEY_TEST_CLIENT_SDK: version }),
      ),
    ],
  },
})
