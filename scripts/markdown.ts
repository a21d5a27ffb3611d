const note = '<!-- Written by `npm run docs`; edit the source it names instead. -->'

export function page(title: string, source: string, parts: readonly string[]): string {
  return `${note}\n<!-- Source: ${source} -->\n\n# ${title}\n\n${parts.join('\n\n')}\n`
}

/** Formats a table with the padding of the formatter, which also checks README.md. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows].map((row) => row.map(cellText))
  const widths = head.map((_, i) => Math.max(3, ...cells.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  const [first = [], ...others] = cells
  return [line(first), line(widths.map((width) => '-'.repeat(width))), ...others.map(line)].join('\n')
}

function cellText(cell: string | number): string {
  const text = String(cell).replaceAll('|', '\\|')
  return text.startsWith('`') ? text : text.replaceAll('<', '&lt;')
}

export function mono(text: string): string {
  return `\`${text}\``
}
