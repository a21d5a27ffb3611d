import { shown } from './figures.ts'

/** One line of the goals table: a figure of the design and what came out. */
export interface Goal {
  readonly figure: string
  readonly goal: string
  readonly measured: number
  readonly met: boolean
  /** The same comparison by CPU time per request: on a machine that others use, the figure to trust. */
  readonly by_cpu?: number
}

export function atLeast(figure: string, limit: number, measured: number, unit = ''): Goal {
  return { figure, goal: `≥ ${shown(limit)}${unit}`, measured, met: measured >= limit }
}

export function atMost(figure: string, limit: number, measured: number, unit = ''): Goal {
  return { figure, goal: `≤ ${shown(limit)}${unit}`, measured, met: measured <= limit }
}

type Cell = string | number

/** Columns as wide as they must be; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = [head, ...rows].map((row) => row.map((cell) => (typeof cell === 'number' ? shown(cell) : cell)))
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
      by_cpu === undefined ? '' : shown(by_cpu),
      Number.isNaN(measured) ? 'not measured' : met ? 'met' : 'MISSED',
    ]),
  )
}

export function heading(text: string): string {
  return `\n## ${text}\n`
}
