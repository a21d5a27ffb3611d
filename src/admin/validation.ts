import type { Ajv, ValidateFunction } from 'ajv'
import type { FastifyReply, FastifyRequest, FastifySchemaCompiler, FastifySchemaValidationError } from 'fastify'
import { shownName } from './schemas.ts'

/** Paths and queries are text that stands for a value; JSON has types of its own: `null` and `7` are no texts. */
const ofText = compiler('array')
const ofJson = compiler(false)

/**
 * Compiles a schema when it is needed first: all of them together would take longer than the rest of a start. Unknown properties
 * are reported, not dropped.
 */
export const validatorCompiler: FastifySchemaCompiler<object> = ({ schema, httpPart }) => {
  const compile = httpPart === 'body' ? ofJson : ofText
  const validate: ReturnType<FastifySchemaCompiler<object>> = (data) => {
    const validator = compile(schema)
    // No schema is asynchronous.
    const valid = validator(data) === true
    // Where Fastify looks for them. Ajv's own are of the same form.
    validate.errors = (validator.errors ?? null) as FastifySchemaValidationError[] | null
    return valid
  }
  return validate
}

let createAjv: ((coerceTypes: 'array' | false) => Ajv) | undefined

/** Loads the validator. Called before a request is validated: no start needs it. */
export async function loadValidator(): Promise<void> {
  if (createAjv) return
  const [{ Ajv }, { default: formats }] = await Promise.all([import('ajv'), import('ajv-formats')])
  createAjv = (coerceTypes) => formats.default(new Ajv({ coerceTypes, useDefaults: true, addUsedSchema: false }))
}

/** Returns a function that compiles each schema once for all servers of this process: schemas are constants. */
function compiler(coerceTypes: 'array' | false): (schema: object) => ValidateFunction {
  const compiled = new WeakMap<object, ValidateFunction>()
  let ajv: Ajv | undefined
  return (schema) => {
    const known = compiled.get(schema)
    if (known) return known
    if (!createAjv) throw new Error('a request is validated before the validator is loaded')
    ajv ??= createAjv(coerceTypes)
    const validator = ajv.compile(schema)
    compiled.set(schema, validator)
    return validator
  }
}

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
