import type { Goal } from '../../reports/report.ts'
import type { Memory } from './command.ts'
import type { Compared } from './compare.ts'

/** Notes what the steps took and whether both sides were equal, and prints it at once: a whole run takes hours. */
export class Notes {
  readonly goals: Goal[] = []
  readonly rows: [string, ...(string | number)[]][] = []
  readonly requests: [string, number][] = []

  took(what: string, lines: number, { ms, memory }: { readonly ms: number; readonly memory: Memory }): void {
    this.rows.push([what, lines / (ms / 1000), ms / 1000, memory.own, memory.files])
    console.error(
      `moving: ${what}: ${Math.round(lines / (ms / 1000))} lines/s in ${Math.round(ms / 1000)} s, ${Math.round(memory.own)} MB`,
    )
  }

  same(what: string, { equal, different, first }: Compared): void {
    console.error(
      `moving: ${what}: ${different} of ${equal + different} lines differ${first === null ? '' : `, first:\n${first}`}`,
    )
    goal(this.goals, what, equal, different)
  }

  requested(what: string, each: number): void {
    this.requests.push([what, each])
    console.error(`moving: ${what}: ${each} requests a conversation`)
  }
}

function goal(goals: Goal[], what: string, equal: number, different: number): void {
  goals.push({
    figure: `moving: ${what}: lines that differ, of ${equal + different}`,
    goal: '0',
    measured: different,
    met: different === 0 && equal > 0,
  })
}
