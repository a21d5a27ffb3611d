import AjvCompiler from '@fastify/ajv-compiler'
import type { FastifyReply, FastifyRequest, FastifySchemaCompiler, FastifySchemaValidationError } from 'fastify'
import { shownName } from './schemas.ts'

/** Unknown properties are reported instead of dropped. */
const base = { allErrors: false, removeAdditional: false, useDefaults: true }
const compile = AjvCompiler()
const ofText = compile({}, { customOptions: { ...base, coerceTypes: 'array' } })
const ofJson = compile({}, { customOptions: { ...base, coerceTypes: false } })

/** Paths and queries are text that stands for a value; JSON has types of its own: `null` and `7` are no texts. */
export const validatorCompiler: FastifySchemaCompiler<object> = ({ schema, httpPart }) =>
  (httpPart === 'body' ? ofJson : ofText)({ schema })

/** Names the field and what it accepts: the validator's own messages omit unknown fields and the allowed words. */
export function schemaError([error]: FastifySchemaValidationError[], place: string): Error {
  return new Error(error ? sentence(error, place === 'querystring' ? 'query parameter' : 'field') : 'the request is invalid')
}

function sentence({ keyword, instancePath, params, message }: FastifySchemaValidationError, kind: string): string {
  const name = instancePath.slice(1).replaceAll('/', '.') || 'the body'
  switch (keyword) {
    case 'additionalProperties':
      return `${params.additionalProperty} is not a ${kind} of this request`
    case 'required':
      return `${params.missingProperty} is required`
    case 'type':
      return `${name} must be of type ${[params.type].flat().join(' or ')}`
    case 'enum':
      return `${name} must be one of ${[params.allowedValues].flat().join(', ')}`
    case 'maxLength':
      return `${name} must have at most ${params.limit} characters`
    case 'maxItems':
      return `${name} must have at most ${params.limit} item(s)`
    case 'minProperties':
      return `${name} must have at least ${params.limit} field(s)`
    case 'maxProperties':
      return `${name} must have at most ${params.limit} field(s)`
    case 'pattern':
      if (params.pattern === shownName.pattern) return `${name} must not contain control characters`
      return `${name} ${message}`
    default:
      return `${name} ${message}`
  }
}

/** PostgreSQL refuses a NUL character, and neither engine stores an unpaired surrogate unchanged. */
export async function refuseUnstorable({ params, query, body }: FastifyRequest, reply: FastifyReply): Promise<void> {
  for (const part of [params, query, body]) {
    const name = Object.entries(part ?? {}).find(([, value]) => [value].flat().some(isUnstorable))?.[0]
    if (name) return reply.code(400).send({ error: `${name} must not contain a NUL character or an unpaired surrogate` })
  }
}

function isUnstorable(value: unknown): boolean {
  return typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())
}
