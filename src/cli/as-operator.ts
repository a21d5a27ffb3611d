import type { asOperator as loaded } from './operator.ts'

/** `asOperator` of `operator.ts`, which is loaded at the call: `parley serve` and `--help` do not need it. */
export const asOperator: typeof loaded = async (...args) => (await import('./operator.ts')).asOperator(...args)
