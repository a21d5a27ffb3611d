#!/usr/bin/env node
import { enableCompileCache } from 'node:module'

// Comes before all other imports, so that the next start reads compiled code: a third of the time to the first response.
enableCompileCache()
await import('./program.ts')
