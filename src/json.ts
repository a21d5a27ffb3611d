/** Parses the text of a JSON object; undefined when it is anything else. */
export function parseJsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return isJsonObject(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

/** Whether a parsed JSON value is an object: no array and not null. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Parses JSON that Parley itself has stored. The caller knows the type of the column. */
export function parseStored<T>(json: string): T {
  // Written by JSON.stringify from a value of this type.
  return JSON.parse(json) as T
}
