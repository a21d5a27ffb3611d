import { readFile, writeFile } from 'node:fs/promises'
import { formatFigure } from '../reports/figures.ts'
import { type Goal, heading, table } from '../reports/report.ts'

/** What a machine measured: ratios of CPU time, by the name of the figure. */
interface Recorded {
  readonly node: string
  readonly figures: Readonly<Record<string, number>>
}

const file = new URL('./figures.json', import.meta.url)
/** Ratios of CPU time within one run differ by less between two runs. */
const tolerance = 0.1

/** Writes the ratios down, or returns what has become of those that were. Only what is by CPU time, which other processes change little. */
export async function held(goals: readonly Goal[], how: 'compare' | 'record'): Promise<string> {
  const now = goals.flatMap((goal) => {
    const ratio = ratioOf(goal)
    return ratio === undefined || Number.isNaN(ratio) ? [] : [{ ...goal, ratio }]
  })
  if (how === 'record') {
    const recorded: Recorded = {
      node: process.version,
      figures: Object.fromEntries(now.map(({ figure, ratio }) => [figure, Number(ratio.toPrecision(3))])),
    }
    await writeFile(file, `${JSON.stringify(recorded, null, 2)}\n`)
    return `\n${now.length} ratios recorded in bench/figures.json`
  }
  const recorded: Recorded = JSON.parse(await readFile(file, 'utf8'))
  const rows = now.map(({ figure, goal, ratio }) => {
    const before = recorded.figures[figure]
    if (before === undefined) return [figure, '', ratio, '', 'not recorded']
    const change = ratio / before - 1
    const worse = isMoreBetter(goal) ? ratio < before * (1 - tolerance) : ratio > before * (1 + tolerance)
    return [figure, before, ratio, `${change < 0 ? '' : '+'}${formatFigure(change * 100)} %`, worse ? 'WORSE' : '']
  })
  const worse = rows.filter((row) => row[4] === 'WORSE').length
  const head = heading(`Ratios of CPU time, against those recorded with Node ${recorded.node}`)
  const verdict = worse === 0 ? 'Nothing is worse by more than 10 %.' : `${worse} of ${rows.length} are worse by more than 10 %.`
  return `${head}\n${table(['figure', 'recorded', 'now', 'change', ''], rows)}\n\n${verdict}`
}

function ratioOf({ figure, measured, by_cpu }: Goal): number | undefined {
  return by_cpu ?? (figure.startsWith('CPU') ? measured : undefined)
}

function isMoreBetter(goal: string): boolean {
  return goal.startsWith('≥')
}
