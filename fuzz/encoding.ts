/** A value of a parameter: plain text, or text that is percent-encoded already, perhaps wrongly. */
export type Value = string | { readonly encoded: string }

/** Percent-encoded as UTF-8; lone surrogates as well, which no encoder of the platform accepts. */
export function encode(value: Value): string {
  if (typeof value !== 'string') return value.encoded
  if (value.isWellFormed()) return encodeURIComponent(value)
  return Array.from(value, (character) => (character.isWellFormed() ? encodeURIComponent(character) : surrogate(character))).join(
    '',
  )
}

function surrogate(character: string): string {
  const code = character.charCodeAt(0)
  const bytes = [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)]
  return bytes.map((byte) => `%${byte.toString(16).toUpperCase()}`).join('')
}

export type Pairs = readonly (readonly [Value, Value])[]

export function encodePairs(pairs: Pairs): string {
  return pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&')
}
