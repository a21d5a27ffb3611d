import { prefixOf } from '../sids.ts'
import { accountKeys, type Keys, keysOf, type Leaf, operatorLists, type Parts, partsOfAccount } from './format.ts'

type Schema = Readonly<Record<string, unknown>>

/** Returns the JSON Schema of a seed. */
export function seedSchema(): Schema {
  const account = objectOf({
    ...propertiesOf(accountKeys),
    ...Object.fromEntries(Object.entries(operatorLists).map(([key, keys]) => [key, listOf(objectWithKeys(keys))])),
    ...partSchemas(partsOfAccount),
  })
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Seed of a Parley database',
    ...objectOf({ $schema: { type: 'string' }, accounts: { type: 'array', minItems: 1, items: account } }, ['accounts']),
  }
}

function partSchemas(parts: Parts): Record<string, Schema> {
  return Object.fromEntries(
    Object.entries(parts).map(([key, { resource, parts: below }]) => {
      const keys = keysOf(resource)
      // The entry of the default service needs no name.
      const required = resource.isService ? [] : requiredIn(keys)
      const schema = objectOf({ ...propertiesOf(keys), ...partSchemas(below) }, required)
      return [key, resource.sid === null ? schema : listOf(schema)]
    }),
  )
}

function objectWithKeys(keys: Keys): Schema {
  return objectOf(propertiesOf(keys), requiredIn(keys))
}

function propertiesOf(keys: Keys): Record<string, Schema> {
  return Object.fromEntries(
    Object.entries(keys).map(([key, leaf]) => [key, 'keys' in leaf ? objectWithKeys(leaf.keys) : schemaOf(leaf)]),
  )
}

function requiredIn(keys: Keys): string[] {
  return Object.entries(keys).flatMap(([key, leaf]) => ('required' in leaf && leaf.required ? [key] : []))
}

function schemaOf({ type, sid, pattern, scalar, description }: Leaf): Schema {
  if (sid) return { type: ['string', 'null'], pattern: `^${prefixOf(sid)}[0-9a-f]{32}$`, description }
  switch (type) {
    case 'json':
      return { description }
    case 'object':
      return { type: ['object', 'string', 'null'], description }
    case 'texts':
      return { type: ['array', 'string', 'null'], items: { type: 'string' }, description }
    default:
      return { type: ['string', ...(scalar ? [scalar] : []), 'null'], ...(pattern && { pattern: pattern.source }), description }
  }
}

function objectOf(properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema {
  return { type: 'object', properties, ...(required.length > 0 && { required }), additionalProperties: false }
}

function listOf(items: Schema): Schema {
  return { type: ['array', 'null'], items }
}
