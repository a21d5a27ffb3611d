/** What can be seen: a name of spaces and marks alone is none. */
const visible = /[\p{L}\p{N}\p{P}\p{S}]/u

/** Returns the first of these names of which there is something to see, else the last one. */
export function nameAmong(...names: readonly [...(string | null | undefined)[], string]): string {
  return names.find((name) => name != null && visible.test(name)) ?? String(names.at(-1))
}

const ascii = /^[\0-\x7f]*$/

/** Returns a text within a sentence such that its direction, and what it has of marks, does not go on in the rest. */
export function isolated(text: string): string {
  return ascii.test(text) ? text : `\u2068${text}\u2069`
}
