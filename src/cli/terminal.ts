/** Control characters and those that change the direction of a text: a name with them could act on the terminal that shows it. */
const unprintable = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

/** Returns a text that others have chosen as one that a terminal shows as it is, on one line. */
export function printable(text: string): string {
  return text.replace(unprintable, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Prints one line of columns. */
export function printRow(...columns: readonly (string | number | null)[]): void {
  console.log(columns.map((column) => printable(String(column ?? '-'))).join('  '))
}
