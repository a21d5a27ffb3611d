import { formatFigure } from './figures.ts'

/** A line of the table of goals: a goal of the design and the measured figure. */
export interface Goal {
  readonly figure: string
  readonly goal: string
  readonly measured: number
  readonly met: boolean
  /** The same ratio by CPU time per request: more reliable when other processes use the machine. */
  readonly by_cpu?: number
}

export function atLeast(figure: string, limit: number, measured: number, unit = ''): Goal {
  return { figure, goal: `≥ ${formatFigure(limit)}${unit}`, measured, met: measured >= limit }
}

export function atMost(figure: string, limit: number, measured: number, unit = ''): Goal {
  return { figure, goal: `≤ ${formatFigure(limit)}${unit}`, measured, met: measured <= limit }
}

type Cell = string | number

/** Formats a table; numbers are right-aligned. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = [head, ...rows].map((row) => row.map((cell) => (typeof cell === 'number' ? formatFigure(cell) : cell)))
  const widths = head.map((_, column) => Math.max(...texts.map((row) => (row[column] ?? '').length)))
  const right = head.map((_, column) => rows.some((row) => typeof row[column] === 'number'))
  const line = (row: readonly string[]) =>
    row.map((text, i) => (right[i] ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0))).join('  ')
  const [first = [], ...rest] = texts
  return [line(first), widths.map((width) => '-'.repeat(width)).join('  '), ...rest.map(line)].join('\n')
}

export function goalsTable(goals: readonly Goal[]): string {
  return table(
    ['figure', 'goal', 'measured', 'by CPU time', ''],
    goals.map(({ figure, goal, measured, met, by_cpu }) => [
      figure,
      goal,
      measured,
      by_cpu === undefined ? '' : formatFigure(by_cpu),
      Number.isNaN(measured) ? 'not measured' : met ? 'met' : 'MISSED',
    ]),
  )
}

export function heading(text: string): string {
  return `\n## ${text}\n`
}
