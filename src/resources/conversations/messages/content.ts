import { refuse } from '../../../errors.ts'
import { isJsonObject, parseStored } from '../../../json.ts'
import type { ContentRow } from '../../../storage/schema.ts'

/** The content types that Conversations sends, plain text first (documented at 50542). */
const supportedTypes = [
  'twilio/text',
  'twilio/media',
  'twilio/quick-reply',
  'twilio/call-to-action',
  'twilio/list-picker',
  'twilio/card',
  'twilio/location',
] as const

/** The field of a content that is its text, by which of them it has. */
const textFields = ['body', 'title', 'label'] as const

/** Returns what is wrong with the texts of a template, as a sentence; undefined when a message can have them as its body. */
export function textError(types: Readonly<Record<string, object>>): string | undefined {
  for (const type of supportedTypes) {
    const content: unknown = types[type]
    if (!isJsonObject(content)) continue
    const wrong = textFields.find((field) => content[field] !== undefined && typeof content[field] !== 'string')
    if (wrong !== undefined) return `types.${type}.${wrong} must be of type string`
  }
  const plain: unknown = types['twilio/text']
  return isJsonObject(plain) && typeof plain.body !== 'string' ? 'types.twilio/text.body is required' : undefined
}

/**
 * Returns the text of a template with its variables replaced; null when its content has no text. `variables`: those of the message,
 * as JSON. Throws 50542 when the template has no type that Conversations supports.
 */
export function renderedText(template: Pick<ContentRow, 'types' | 'variables'>, variables: string | null): string | null {
  const types = parseStored<Record<string, unknown>>(template.types)
  const type = supportedTypes.find((name) => Object.hasOwn(types, name))
  if (!type) throw refuse('unsupportedContentType')
  const values = { ...parseStored<Record<string, unknown>>(template.variables), ...parseStored<object>(variables ?? '{}') }
  const text = textOf(types[type])
  if (text === null) return null
  return text.replace(/\{\{\s*(\w+)\s*\}\}/g, (place, name: string) => variableOf(values, name) ?? place)
}

function textOf(content: unknown): string | null {
  if (!isJsonObject(content)) return null
  const text = textFields.map((field) => content[field]).find((value) => typeof value === 'string')
  return typeof text === 'string' ? text : null
}

/** A variable without a value stays as it is written. */
function variableOf(values: Readonly<Record<string, unknown>>, name: string): string | undefined {
  return Object.hasOwn(values, name) ? String(values[name]) : undefined
}
