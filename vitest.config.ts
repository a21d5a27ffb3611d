import { defineConfig } from 'vitest/config'

/** What promises something about the API or about storage: it holds on either engine. */
const promises = ['sdk', 'webhooks', 'channel', 'media', 'admin', 'storage', 'cli', 'nodes']

export default defineConfig({
  test: {
    // Two cores: each file brings a server, on SQLite with a writer thread.
    maxWorkers: 2,
    testTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'sqlite',
          env: { PARLEY_TEST_ENGINE: 'sqlite' },
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: ['test/nodes/**'],
        },
      },
      {
        extends: true,
        test: {
          name: 'postgres',
          env: { PARLEY_TEST_ENGINE: 'postgres' },
          include: promises.map((folder) => `test/${folder}/**/*.test.ts`),
          exclude: ['test/storage/sqlite/**'],
          globalSetup: 'test/support/postgres-setup.ts',
        },
      },
    ],
  },
})
