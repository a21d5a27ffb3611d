/**
 * Extracts the facts of the official OpenAPI description that the tests compare with (names, types, key orders; no prose):
 * `node scripts/contract.ts <description.json>` writes them, `--check` only compares.
 *
 * An unknown construct is an error that names its position, so that no change of a new official version goes unnoticed.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Contract, contractFile, type Keys, type Operation, type Shape } from '../test/support/contract.ts'

type Json = Record<string, unknown>
type Place = keyof Operation['parameters']
type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** A response: the schema of its body (or of one list item) and the examples. */
interface Answer {
  readonly body: string
  readonly list: string | undefined
  readonly examples: readonly unknown[]
  readonly meta: { readonly schema: unknown; readonly examples: readonly unknown[] } | undefined
}

class NotUnderstood extends Error {}

const verbs = ['get', 'post', 'delete']
const places: readonly Place[] = ['path', 'query', 'header', 'form']
const formType = 'application/x-www-form-urlencoded'
const schemaPrefix = '#/components/schemas/'

/** Keys without facts that the tests could check. */
const prose = ['description', 'summary', 'title', 'example', 'examples', 'default', 'x-twilio']
const schemaWords = [
  ...['$ref', 'type', 'format', 'properties', 'required', 'items', 'enum', 'nullable'],
  ...['pattern', 'minLength', 'maxLength', 'minimum', 'maximum', ...prose],
]
const types = ['string', 'integer', 'boolean', 'object', 'array']
const formats = ['uri', 'uri-map', 'date-time', 'int64']

process.exitCode = main()

function main(): number {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { check: { type: 'boolean' } } })
  const [file, ...more] = positionals
  if (!file || more.length > 0) return complain('usage: node scripts/contract.ts <description.json> [--check]', 2)
  try {
    const text = `${print(extract(JSON.parse(readFileSync(file, 'utf8'))))}\n`
    if (!values.check) writeFileSync(contractFile, text)
    else if (!existsSync(contractFile) || readFileSync(contractFile, 'utf8') !== text)
      return complain('operations.json is not up to date: run node scripts/contract.ts <description.json>')
    return 0
  } catch (error) {
    if (error instanceof NotUnderstood) return complain(error.message)
    throw error
  }
}

function complain(message: string, exitCode = 1): number {
  console.error(message)
  return exitCode
}

function extract(description: unknown): Contract {
  const root = object(description, 'description', ['openapi', 'info', 'servers', 'tags', 'security', 'paths', 'components'])
  const components = object(root.components, 'components', ['schemas', 'securitySchemes'])
  const schemas = object(components.schemas, 'components.schemas')
  const answers: Answer[] = []
  const operations: Operation[] = []
  for (const [path, item] of entries(object(root.paths, 'paths'))) {
    const methods = object(item, path, [...verbs, 'servers', 'description', 'x-twilio'])
    for (const verb of verbs) if (methods[verb]) operations.push(operationOf(path, verb, methods[verb], schemas, answers))
  }
  operations.sort((a, b) => compare(a.path, b.path) || compare(a.method, b.method))
  return { meta: metaOf(answers, schemas), bodies: bodiesOf(answers, schemas), operations }
}

function operationOf(path: string, verb: string, value: unknown, schemas: Json, answers: Answer[]): Operation {
  const at = `${verb} ${path}`
  const words = ['operationId', 'tags', 'security', 'parameters', 'requestBody', 'responses', ...prose]
  const source = object(value, at, words)
  const { statuses, answer } = responsesOf(source.responses, `${at}.responses`)
  if (answer) answers.push(...answer)
  const first = answer?.[0]
  return {
    operationId: text(source.operationId, `${at}.operationId`),
    method: verb.toUpperCase(),
    path,
    statuses,
    ...(first && { body: first.body }),
    ...(first?.list !== undefined && { list: first.list }),
    parameters: parametersOf(source, at, schemas),
  }
}

/** An operation may have two success statuses, but only one body. */
function responsesOf(value: unknown, at: string): { statuses: number[]; answer: Answer[] | undefined } {
  const found: Answer[] = []
  const statuses: number[] = []
  let empty = 0
  for (const [status, response] of entries(object(value, at))) {
    if (!/^2\d\d$/.test(status)) throw new NotUnderstood(`${at}.${status}: only success statuses are understood`)
    statuses.push(Number(status))
    const { content } = object(response, `${at}.${status}`, ['content', 'headers', 'description'])
    if (content === undefined) empty += 1
    else found.push(answerOf(content, `${at}.${status}`))
  }
  const different = found.some((answer) => answer.body !== found[0]?.body || answer.list !== found[0]?.list)
  if (different || (empty > 0 && found.length > 0)) throw new NotUnderstood(`${at}: the statuses have different bodies`)
  return { statuses: statuses.sort(), answer: found.length > 0 ? found : undefined }
}

function answerOf(content: unknown, at: string): Answer {
  const json = object(object(content, at, ['application/json'])['application/json'], at, ['schema', 'examples'])
  const schema = object(json.schema, `${at}.schema`, schemaWords)
  const examples = entries(object(json.examples ?? {}, `${at}.examples`)).map(
    ([name, example]) => object(example, `${at}.examples.${name}`, ['value', 'summary']).value,
  )
  if (schema.$ref) return { body: refOf(schema, at), list: undefined, examples, meta: undefined }
  const { meta, ...arrays } = object(schema.properties, `${at}.schema.properties`)
  const [list, ...more] = Object.keys(arrays)
  if (!list || more.length > 0 || !meta) throw new NotUnderstood(`${at}: a list response must have one array and meta`)
  const array = object(arrays[list], `${at}.${list}`, schemaWords)
  const pages = examples.map((example, index) => object(example, `${at}.examples[${index}]`, [list, 'meta']))
  return {
    body: refOf(object(array.items, `${at}.${list}.items`, schemaWords), `${at}.${list}.items`),
    list,
    examples: pages.flatMap((page) => items(page[list], `${at}.examples.${list}`)),
    meta: { schema: meta, examples: pages.map((page) => page.meta) },
  }
}

function parametersOf(source: Json, at: string, schemas: Json): Operation['parameters'] {
  const found: Record<Place, Record<string, Shape>> = { path: {}, query: {}, header: {}, form: {} }
  for (const entry of items(source.parameters ?? [], `${at}.parameters`)) {
    const parameter = object(entry, `${at}.parameters`, ['name', 'in', 'required', 'schema', ...prose])
    const name = text(parameter.name, `${at}.parameters.name`)
    const place = places.find((known) => known === parameter.in)
    if (!place || place === 'form') throw new NotUnderstood(`${at}.${name}: parameter in "${parameter.in}" is not understood`)
    found[place][name] = parameterOf(parameter.schema, parameter.required === true, `${at}.${name}`, schemas)
  }
  Object.assign(found.form, formOf(source.requestBody, `${at}.requestBody`, schemas))
  return found
}

function formOf(requestBody: unknown, at: string, schemas: Json): Record<string, Shape> {
  if (requestBody === undefined) return {}
  const content = object(object(requestBody, at, ['content']).content, `${at}.content`, [formType])
  const form = object(object(content[formType], at, ['schema', 'examples']).schema, `${at}.schema`, schemaWords)
  const required = items(form.required ?? [], `${at}.required`)
  const properties = object(form.properties, `${at}.properties`)
  return Object.fromEntries(
    entries(properties).map(([name, schema]) => [name, parameterOf(schema, required.includes(name), `${at}.${name}`, schemas)]),
  )
}

function parameterOf(schema: unknown, required: boolean, at: string, schemas: Json): Shape {
  const shape = shapeOf(schema, [], at, schemas)
  if (shape.type === 'any' || shape.type === 'object') throw new NotUnderstood(`${at}: a parameter of type ${shape.type}`)
  return required ? { ...shape, required } : shape
}

/** Several operations share a schema; the examples of all of them apply to it. */
function bodiesOf(answers: readonly Answer[], schemas: Json): Contract['bodies'] {
  const names = [...new Set(answers.map((answer) => answer.body))].sort(compare)
  return Object.fromEntries(
    names.map((name) => {
      const examples = answers.flatMap((answer) => (answer.body === name ? answer.examples : []))
      return [name, keysOf(schemas[name], examples, name, schemas)]
    }),
  )
}

function metaOf(answers: readonly Answer[], schemas: Json): Keys {
  const metas = answers.flatMap((answer) => answer.meta ?? [])
  const [first] = metas
  if (!first) throw new NotUnderstood('paths: there is no list')
  if (metas.some((meta) => JSON.stringify(meta.schema) !== JSON.stringify(first.schema)))
    throw new NotUnderstood('meta: not the same in all lists')
  const examples = metas.flatMap((meta) => meta.examples)
  return keysOf(first.schema, examples, 'meta', schemas)
}

function keysOf(schema: unknown, examples: readonly unknown[], at: string, schemas: Json): Keys {
  const shape = shapeOf(schema, examples, at, schemas)
  if (!shape.keys || shape.open || shape.nullable) throw new NotUnderstood(`${at}: expected an object with declared properties`)
  return shape.keys
}

/** Returns the schema, completed from the examples: key order, undeclared keys, types and nulls. */
function shapeOf(value: unknown, examples: readonly unknown[], at: string, schemas: Json): Shape {
  const schema = resolve(value, at, schemas)
  const seen = examples.filter((example) => example !== null)
  const shape: Mutable<Shape> = { type: typeOf(schema, seen, at) }
  if (schema.format !== undefined) shape.format = known(schema.format, formats, `${at}.format`)
  if (schema.pattern !== undefined) shape.pattern = text(schema.pattern, `${at}.pattern`)
  if (schema.enum !== undefined) shape.enum = items(schema.enum, `${at}.enum`).map((word) => text(word, `${at}.enum`))
  if (schema.minimum !== undefined) shape.minimum = integer(schema.minimum, `${at}.minimum`)
  if (schema.maximum !== undefined) shape.maximum = integer(schema.maximum, `${at}.maximum`)
  if (schema.nullable === true || examples.includes(null)) shape.nullable = true
  const alien = seen.find((example) => shape.enum && !shape.enum.includes(String(example)))
  if (alien !== undefined) throw new NotUnderstood(`${at}: the example "${alien}" is not in the enum`)
  if (shape.type === 'array') {
    const declared = schema.type === undefined ? {} : schema.items
    shape.items = shapeOf(
      declared,
      seen.flatMap((list) => items(list, at)),
      `${at}[]`,
      schemas,
    )
  }
  if (shape.type === 'object') Object.assign(shape, contentsOf(schema, seen, at, schemas))
  return shape
}

function contentsOf(schema: Json, seen: readonly unknown[], at: string, schemas: Json): Partial<Shape> {
  const examples = seen.map((example) => object(example, at))
  if (schema.properties !== undefined) return { keys: declaredKeys(object(schema.properties, at), examples, at, schemas) }
  const linkMap = schema.format === 'uri-map'
  if (linkMap && examples.length === 0) throw new NotUnderstood(`${at}: no example shows the keys`)
  const keys = seenKeys(examples, at, schemas, linkMap)
  return linkMap ? { keys } : { open: true, keys }
}

function declaredKeys(properties: Json, examples: readonly Json[], at: string, schemas: Json): Keys {
  const declared = Object.keys(properties)
  for (const name of examples.flatMap((example) => Object.keys(example)))
    if (!(name in properties)) throw new NotUnderstood(`${at}.${name}: in an example, but not declared`)
  return Object.fromEntries(
    wireOrder(declared, examples).map((name) => {
      const shape = shapeOf(properties[name], valuesOf(examples, name), `${at}.${name}`, schemas)
      const partial = examples.some((example) => !(name in example))
      return [name, partial ? { ...shape, optional: true as const } : shape]
    }),
  )
}

/** The order most complete examples have (the first of equals); without a complete example, that of the schema. */
function wireOrder(declared: readonly string[], examples: readonly Json[]): readonly string[] {
  const votes = new Map<string, number>()
  for (const example of examples) {
    const order = Object.keys(example).join()
    if (Object.keys(example).length === declared.length) votes.set(order, (votes.get(order) ?? 0) + 1)
  }
  const [winner] = [...votes].sort(([, a], [, b]) => b - a)
  return winner ? winner[0].split(',') : declared
}

/** Links are told to the last one; of any other undeclared object the examples show only some of the keys. */
function seenKeys(examples: readonly Json[], at: string, schemas: Json, linkMap: boolean): Keys {
  const names = [...new Set(examples.flatMap((example) => Object.keys(example)))]
  return Object.fromEntries(
    names.map((name) => {
      const schema = linkMap ? { type: 'string', format: 'uri' } : {}
      const shape = shapeOf(schema, valuesOf(examples, name), `${at}.${name}`, schemas)
      const sure = linkMap && examples.every((example) => name in example)
      return [name, sure ? shape : { ...shape, optional: true as const }]
    }),
  )
}

function valuesOf(examples: readonly Json[], name: string): unknown[] {
  return examples.flatMap((example) => (name in example ? [example[name]] : []))
}

function typeOf(schema: Json, seen: readonly unknown[], at: string): Shape['type'] {
  const shown = [...new Set(seen.map((example) => jsonType(example, at)))]
  if (schema.type === undefined) return shown.length === 1 && shown[0] ? shown[0] : 'any'
  const type = known(schema.type, types, `${at}.type`) as Shape['type']
  const other = shown.find((found) => found !== type)
  if (other) throw new NotUnderstood(`${at}: declared as ${type}, but an example shows ${other}`)
  return type
}

function jsonType(value: unknown, at: string): Shape['type'] {
  if (Array.isArray(value)) return 'array'
  if (Number.isInteger(value)) return 'integer'
  return known(typeof value, types, at) as Shape['type']
}

/** Follows one reference; more than one level, or words beside it, do not occur. */
function resolve(value: unknown, at: string, schemas: Json): Json {
  const schema = object(value, at, schemaWords)
  if (schema.$ref === undefined) return schema
  const target = object(schemas[refOf(schema, at)], `${at} (${schema.$ref})`, schemaWords)
  if (target.$ref !== undefined) throw new NotUnderstood(`${at}: a reference to a reference`)
  return target
}

function refOf(schema: Json, at: string): string {
  const reference = text(schema.$ref, `${at}.$ref`)
  const beside = Object.keys(schema).find((word) => word !== '$ref' && !prose.includes(word))
  if (!reference.startsWith(schemaPrefix) || beside) throw new NotUnderstood(`${at}: ${beside ?? reference} is not understood`)
  return reference.slice(schemaPrefix.length)
}

function object(value: unknown, at: string, words?: readonly string[]): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new NotUnderstood(`${at}: not an object`)
  const alien = words && Object.keys(value).find((word) => !words.includes(word))
  if (alien) throw new NotUnderstood(`${at}: "${alien}" is not understood`)
  return value as Json
}

function items(value: unknown, at: string): unknown[] {
  if (!Array.isArray(value)) throw new NotUnderstood(`${at}: not an array`)
  return value
}

function text(value: unknown, at: string): string {
  if (typeof value !== 'string') throw new NotUnderstood(`${at}: not a string`)
  return value
}

function integer(value: unknown, at: string): number {
  if (!Number.isInteger(value)) throw new NotUnderstood(`${at}: not an integer`)
  return value as number
}

function known(value: unknown, words: readonly string[], at: string): string {
  const word = text(value, at)
  if (!words.includes(word)) throw new NotUnderstood(`${at}: "${word}" is not understood`)
  return word
}

function entries(value: Json): [string, unknown][] {
  return Object.entries(value)
}

/** By code unit: the locale of the machine must not change the file. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** JSON with everything that fits on a line left on one line, so that a review shows one key per line. */
function print(value: unknown, indent = '', used = 0): string {
  const line = flat(value)
  if (typeof value !== 'object' || value === null || indent.length + used + line.length < 130) return line
  const inner = `${indent}  `
  if (Array.isArray(value)) return `[\n${value.map((item) => `${inner}${print(item, inner)}`).join(',\n')}\n${indent}]`
  const lines = Object.entries(value).map(([key, item]) => {
    const label = `${JSON.stringify(key)}: `
    return `${inner}${label}${print(item, inner, label.length + 1)}`
  })
  return `{\n${lines.join(',\n')}\n${indent}}`
}

function flat(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(flat).join(', ')}]`
  const pairs = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${flat(item)}`)
  return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`
}
