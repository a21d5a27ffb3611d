import type { FastifyServerOptions } from 'fastify'

function refuseToCompile(): never {
  throw new Error('routes with schemas need compilers of their own, as those of the operator have (admin/validator.ts)')
}

/** For `fastify()`: its compilers of schemas, which are half of its size, are not loaded. No surface but the operator's has schemas. */
export const noCompilers = {
  compilersFactory: { buildValidator: refuseToCompile, buildSerializer: refuseToCompile },
} satisfies FastifyServerOptions['schemaController']
