import { createRequire } from 'node:module'
import type { Temporal as TemporalNamespace } from 'temporal-polyfill'

export type { TemporalNamespace }

type Library = { Temporal: typeof TemporalNamespace }

/**
 * The runtime's own Temporal (Node 26 and later) or, without one, the library's. The library is read only then, because reading it
 * takes 16 ms of CPU at each start; by `require`, because a module of the bundle cannot await. The build puts it beside the bundle.
 */
export const { Temporal }: Library =
  'Temporal' in globalThis
    ? (globalThis as unknown as Library) // The types of the runtime are those of the oldest Node that is supported.
    : createRequire(import.meta.url)(import.meta.url.endsWith('.ts') ? 'temporal-polyfill' : './temporal-polyfill.cjs')
