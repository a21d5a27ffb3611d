/** The most that `/v1` takes as attributes. */
export const maxAttributesBytes = { conversation: 16_384, user: 16_384, participant: 4096, message: 4096 } as const

export function bytesOf(text: string): number {
  return new TextEncoder().encode(text).byteLength
}

/** Returns why the server would refuse it as attributes; null when it would not. Nothing at all stands for `{}`. */
export function attributesProblem(text: string, maxBytes: number): string | null {
  const bytes = bytesOf(text)
  if (bytes > maxBytes) {
    return `Too long: ${bytes.toLocaleString('en')} bytes, and ${maxBytes.toLocaleString('en')} are the most.`
  }
  try {
    if (text !== '') JSON.parse(text)
    return null
  } catch (error) {
    return `This is no JSON: ${error instanceof Error ? error.message : error}`
  }
}

/** Returns what a form has to send of attributes: nothing where they were left alone, so that they stay as they are stored. */
export function changedAttributes(given: string | undefined, stored: string): string | undefined {
  // A text field has no other line ends.
  return given === stored.replaceAll('\r\n', '\n').replaceAll('\r', '\n') ? undefined : given
}

const tokens = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g

/** Returns JSON with a line for each value. Its texts and numbers stay as they are written: parsing would round long ones. */
export function indented(json: string): string {
  let depth = 0
  let last = ''
  let text = ''
  for (const token of json.match(tokens) ?? []) {
    const opened = last === '{' || last === '['
    const closes = token === '}' || token === ']'
    if (closes) depth--
    if (last === ',' || opened !== closes) text += `\n${'  '.repeat(depth)}`
    text += token === ':' ? ': ' : token
    if (token === '{' || token === '[') depth++
    last = token
  }
  return text
}
