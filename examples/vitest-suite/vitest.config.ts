import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: { globalSetup: './setup.ts', include: ['*.test.ts'], testTimeout: 120_000 },
})
