#!/usr/bin/env node
import { enableCompileCache } from 'node:module'

// Before anything is loaded: the next start finds it compiled, a third of the time to the first answer.
enableCompileCache()
await import('./program.ts')
