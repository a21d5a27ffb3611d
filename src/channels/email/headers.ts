/** Headers of a mail: names in lower case, in their order; values unfolded, but not decoded. */
export type Headers = readonly { readonly key: string; readonly value: string }[]

/** Returns the first header of a name: of several `From` or `Subject`, programs show the first. */
export function headerOf(headers: Headers, name: string): string | undefined {
  return headers.find(({ key }) => key === name)?.value.trim()
}

export function headersOf(headers: Headers, name: string): readonly string[] {
  return headers.flatMap(({ key, value }) => (key === name ? [value.trim()] : []))
}

/** Of a chain of Message-IDs: those at its ends are the ones that others know. */
const maxIds = 100
/** RFC 5322 allows 998 in a line. */
const maxIdLength = 998

/**
 * Returns the Message-IDs of a header such as `References`, each with its angle brackets, without repetitions. One with a control
 * character, which not every database stores, is none.
 */
export function messageIdsIn(value: string | undefined): readonly string[] {
  if (value === undefined) return []
  const ids = new Set<string>()
  for (const [id] of value.matchAll(/<[^<>\s\p{Cc}\p{Cs}]+>/gu)) if (id.length <= maxIdLength) ids.add(id)
  return [...ids].slice(-maxIds)
}

/** Returns a text without what would end or break a header line; it is trimmed and has single spaces. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f\u2028\u2029\s]+/g, ' ').trim()
}
