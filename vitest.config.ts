import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Two cores: each file brings a server with a writer thread.
    maxWorkers: 2,
    testTimeout: 30_000,
  },
})
