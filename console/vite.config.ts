import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** Where a server listens, for `npm run console`: pages that change as they are edited, on the data of that server. */
const server = 'http://127.0.0.1:8080'

export default defineConfig({
  base: '/console/',
  plugins: [react()],
  build: {
    outDir: '../dist/console',
    emptyOutDir: true,
    // The policy of the page allows nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    reportCompressedSize: false,
  },
  server: { proxy: { '/v1': server, '/admin': server } },
})
