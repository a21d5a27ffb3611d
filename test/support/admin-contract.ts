import { readFileSync } from 'node:fs'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

interface Description {
  readonly paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, { schema: object }> }> }>>
  readonly components: object
}

const file = new URL('../../docs/generated/admin-openapi.json', import.meta.url)

const ajv = new Ajv2020({ strict: false })
addFormats.default(ajv)

let loaded: Description | undefined
const validators = new Map<string, ValidateFunction>()

/** Objects may have no other properties than those that are described. */
function description(): Description {
  loaded ??= JSON.parse(readFileSync(file, 'utf8'), (_, value) =>
    value?.type === 'object' && value.properties ? { additionalProperties: false, ...value } : value,
  ) as Description
  return loaded
}

/** Throws unless the published description of the operator's API has this response. `path`: below `/admin/v1`. */
export function checkAdminAnswer(method: string, path: string, status: number, body: unknown): void {
  const at = `${method} ${path} answered ${status}`
  const pattern = patternOf(path)
  const operation = pattern && description().paths[pattern]?.[method.toLowerCase()]
  if (!operation) {
    if (status !== 401 && status !== 404) throw new Error(`${at}, and is not described`)
    return
  }
  const response = operation.responses[status] ?? operation.responses[`${Math.floor(status / 100)}XX`]
  if (!response) throw new Error(`${at}, which is not described`)
  const schema = response.content?.['application/json']?.schema
  if (!schema) {
    if (body !== null) throw new Error(`${at} with a body, where none is described`)
    return
  }
  const validate = validatorOf(`${method} ${pattern} ${status}`, schema)
  if (!validate(body)) throw new Error(`${at}, which differs from its description: ${ajv.errorsText(validate.errors)}`)
}

function validatorOf(key: string, schema: object): ValidateFunction {
  const validate = validators.get(key) ?? ajv.compile({ ...schema, components: description().components })
  validators.set(key, validate)
  return validate
}

function patternOf(path: string): string | undefined {
  const [plain = ''] = path.split('?')
  const { paths } = description()
  const at = `/admin/v1${plain}`
  if (Object.hasOwn(paths, at)) return at
  return Object.keys(paths).find((known) => {
    const segments = known.replace(/\{\w+\}/g, '[^/]+')
    return new RegExp(`^${segments}$`).test(at)
  })
}
