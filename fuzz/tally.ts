import { formatFigure } from '../reports/figures.ts'
import { heading, table } from '../reports/report.ts'
import type { Outcome } from './lane.ts'
import type { Plan } from './plan.ts'

const max_kept = 30
const max_shown_bytes = 1_500

/** A request that did not go as it must, with what it takes to send it again. */
export interface Failure {
  readonly index: number
  readonly label: string
  readonly faults: readonly string[]
  readonly request: string
  readonly answer: string
}

interface Count {
  requests: number
  succeeded: number
  missing: number
  longest_ms: number
}

/** What came of all requests of a run. */
export class Tally {
  readonly failures: Failure[] = []
  failed = 0
  requests = 0
  readonly #statuses = new Map<number | string, number>()
  readonly #operations = new Map<string, Count>()

  add(plan: Plan, { answers, ms }: Outcome, faults: readonly string[]): void {
    this.requests++
    for (const { status } of answers) this.#count(status)
    if (answers.length === 0) this.#count('none')
    const count = this.#operations.get(plan.label) ?? { requests: 0, succeeded: 0, missing: 0, longest_ms: 0 }
    this.#operations.set(plan.label, count)
    count.requests++
    if (answers.some(({ status }) => status < 300)) count.succeeded++
    if (answers.some(({ status }) => status === 404)) count.missing++
    count.longest_ms = Math.max(count.longest_ms, ms)
    if (faults.length > 0) this.#fail(plan, answers, faults)
  }

  /** Number of answers with this status, or of requests that nobody answered. */
  of(status: number | 'none'): number {
    return this.#statuses.get(status) ?? 0
  }

  statuses(): string {
    const rows = [...this.#statuses].sort(([a], [b]) => String(a).localeCompare(String(b)))
    return table(
      ['status', 'answers'],
      rows.map(([status, count]) => [String(status), String(count)]),
    )
  }

  operations(): string {
    const rows = [...this.#operations].sort(([, a], [, b]) => b.longest_ms - a.longest_ms)
    return table(
      ['operation', 'requests', 'succeeded', 'not found', 'longest, ms'],
      rows.map(([label, { requests, succeeded, missing, longest_ms }]) => [
        label,
        String(requests),
        String(succeeded),
        String(missing),
        longest_ms,
      ]),
    )
  }

  /** Official operations that never succeeded: nothing deep was tried there. */
  neverSucceeded(labels: readonly string[]): readonly string[] {
    return labels.filter((label) => !this.#operations.get(label)?.succeeded)
  }

  #count(status: number | string): void {
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1)
  }

  #fail({ index, label, steps }: Plan, answers: Outcome['answers'], faults: readonly string[]): void {
    this.failed++
    if (this.failures.length >= max_kept) return
    const request = steps.map((step) => (step instanceof Buffer ? step.toString('latin1') : JSON.stringify(step))).join('\n')
    const answer = answers.map(({ status, headers, body }) => `${status} ${JSON.stringify(headers)}\n${body}`).join('\n')
    this.failures.push({ index, label, faults, request: cut(request), answer: cut(answer) })
  }
}

function cut(text: string): string {
  return text.length > max_shown_bytes ? `${text.slice(0, max_shown_bytes)}… (${text.length} bytes)` : text
}

export function failureText({ index, label, faults, request, answer }: Failure, seed: number): string {
  const lines = faults.map((fault) => `  - ${fault}`).join('\n')
  return `${heading(`Request ${index}: ${label}`)}\n${lines}\n\n--seed ${seed} --from ${index} --count 1\n\n${request}\n\nanswered: ${answer}`
}

export function rate(requests: number, ms: number): string {
  return `${requests} requests in ${formatFigure(ms / 1000)} s, ${formatFigure((requests / ms) * 1000)}/s`
}
