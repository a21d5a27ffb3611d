import { isJsonObject, parseJsonObject } from '../../json.ts'

/** A template of Meta's, and which variable of a content template stands where. */
interface Template {
  readonly name: string
  readonly language: string
  readonly header?: { readonly type: MediaHeader | 'text'; readonly variable: string }
  /** The variables of the text, in order. Without it, they are all that are not used elsewhere. */
  readonly body?: readonly string[]
  readonly buttons?: readonly { readonly type: ButtonType; readonly index: number; readonly variable: string }[]
}

const mediaHeaders = ['image', 'video', 'document'] as const
type MediaHeader = (typeof mediaHeaders)[number]

const buttonTypes = ['url', 'quick_reply', 'copy_code'] as const
type ButtonType = (typeof buttonTypes)[number]

/** The member `template` of a message, as the Cloud API wants it. */
export interface TemplateMessage {
  readonly name: string
  readonly language: { readonly code: string }
  readonly components?: readonly object[]
}

/** Returns what is wrong with the setting `templates`, as a sentence. */
export function templateProblem(json: string): string | undefined {
  const parsed = parseJsonObject(json)
  if (!parsed) return 'templates must be the text of a JSON object'
  for (const [sid, template] of Object.entries(parsed)) {
    if (!/^HX[0-9a-fA-F]{32}$/.test(sid)) return `templates: ${sid.slice(0, 40)} is no ContentSid`
    if (!isTemplate(template)) {
      return `templates: ${sid} must have name and language, and may have header {type, variable}, body [variables] and buttons [{type, index, variable}]`
    }
  }
  return undefined
}

function isTemplate(value: unknown): value is Template {
  if (!isJsonObject(value)) return false
  const { name, language, header, body, buttons } = value
  return (
    Object.keys(value).every((key) => ['name', 'language', 'header', 'body', 'buttons'].includes(key)) &&
    isText(name) &&
    isText(language) &&
    (header === undefined || isHeader(header)) &&
    (body === undefined || (Array.isArray(body) && body.every(isText))) &&
    (buttons === undefined || (Array.isArray(buttons) && buttons.every(isButton)))
  )
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isHeader(value: unknown): boolean {
  return isJsonObject(value) && [...mediaHeaders, 'text'].some((type) => type === value.type) && isText(value.variable)
}

function isButton(value: unknown): boolean {
  if (!isJsonObject(value) || !isText(value.variable)) return false
  return buttonTypes.some((type) => type === value.type) && [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].some((index) => index === value.index)
}

/**
 * Returns the template message for a content template; undefined when the setting names none for it. `variables`: JSON text. Names
 * that are numbers are positions; others are sent as names.
 */
export function templateMessage(
  templates: string | null,
  { sid, variables }: { readonly sid: string; readonly variables: string | null },
): TemplateMessage | undefined {
  const mapped = parseJsonObject(templates ?? '{}') ?? {}
  const template = Object.hasOwn(mapped, sid) ? mapped[sid] : undefined
  if (!isTemplate(template)) return undefined
  const values = valuesOf(variables)
  const components = [...headerOf(template, values), ...bodyOf(template, values), ...buttonsOf(template, values)]
  return { name: template.name, language: { code: template.language }, ...(components.length > 0 && { components }) }
}

type Values = ReadonlyMap<string, string>

function valuesOf(variables: string | null): Values {
  const parsed = Object.entries(parseJsonObject(variables ?? '{}') ?? {})
  return new Map(parsed.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]))
}

function headerOf({ header }: Template, values: Values): object[] {
  if (!header) return []
  const value = values.get(header.variable) ?? ''
  const { type } = header
  const parameter = type === 'text' ? { type, text: value } : { type, [type]: { link: value } }
  return [{ type: 'header', parameters: [parameter] }]
}

function bodyOf(template: Template, values: Values): object[] {
  const parameters = bodyVariables(template, values).map((name) => ({
    type: 'text',
    ...(!isPosition(name) && { parameter_name: name }),
    text: values.get(name) ?? '',
  }))
  return parameters.length === 0 ? [] : [{ type: 'body', parameters }]
}

function bodyVariables({ header, body, buttons }: Template, values: Values): readonly string[] {
  if (body) return body
  const elsewhere = new Set([header?.variable, ...(buttons ?? []).map(({ variable }) => variable)])
  const names = [...values.keys()].filter((name) => !elsewhere.has(name))
  return names.sort((a, b) => (isPosition(a) && isPosition(b) ? Number(a) - Number(b) : 0))
}

function isPosition(name: string): boolean {
  return /^\d{1,3}$/.test(name)
}

function buttonsOf({ buttons = [] }: Template, values: Values): object[] {
  return buttons.map(({ type, index, variable }) => {
    const value = values.get(variable) ?? ''
    return { type: 'button', sub_type: type, index: String(index), parameters: [buttonParameter(type, value)] }
  })
}

function buttonParameter(type: ButtonType, value: string): object {
  if (type === 'url') return { type: 'text', text: value }
  return type === 'quick_reply' ? { type: 'payload', payload: value } : { type: 'coupon_code', coupon_code: value }
}
