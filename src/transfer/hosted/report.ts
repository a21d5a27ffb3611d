import type { Checkpoint, Count, Problem } from './checkpoint.ts'
import type { Traffic } from './client.ts'
import type { Survey } from './pass.ts'

/** What a pass has come to. */
export interface Report {
  readonly pass: number
  /** SIDs of the services that were read, in this pass or an earlier one. */
  readonly services: readonly string[]
  readonly survey: Survey
  readonly counts: readonly Count[]
  readonly traffic: Readonly<Traffic>
  readonly problems: readonly Problem[]
  /** What an earlier pass has read, and is no longer there. */
  readonly deletions: readonly { readonly kind: string; readonly sid: string }[]
  /** Whether everything that was counted at the start was read, or is known to be deleted. */
  readonly isComplete: boolean
}

export function reportOf(checkpoint: Checkpoint, traffic: Traffic, survey: Survey): Report {
  const counts = checkpoint.counts()
  const problems = checkpoint.problems()
  const isComplete =
    problems.length === 0 && amountOf(counts, 'conversation') >= survey.conversations && amountOf(counts, 'user') >= survey.users
  return {
    pass: checkpoint.pass,
    services: checkpoint.services(),
    survey,
    counts,
    traffic: { ...traffic },
    problems,
    deletions: checkpoint.deletions(),
    isComplete,
  }
}

/** Returns how many of a kind are done, whatever they came to. */
export function amountOf(counts: readonly Count[], kind: string): number {
  return counts.reduce((sum, count) => (count.kind === kind ? sum + count.amount : sum), 0)
}

/** Problems that are printed; all of them are in the file of the report. */
const printed = 20

/** Returns the report as lines for people. */
export function* linesOf({ pass, survey, counts, traffic, problems, deletions, isComplete }: Report): Generator<string> {
  yield `pass ${pass}: ${traffic.requests} requests, ${traffic.repeated} of them repeated, ${traffic.refused} refused for coming too often`
  const listed: Readonly<Record<string, number>> = { conversation: survey.conversations, user: survey.users }
  for (const kind of new Set(counts.map((count) => count.kind))) {
    const fates = counts.filter((count) => count.kind === kind).map(({ fate, amount }) => `${amount} ${fate}`)
    const there = listed[kind]
    yield `${kind}: ${fates.join(', ')}${there === undefined ? '' : ` of ${there} counted at the start`}`
  }
  if (deletions.length > 0) yield `${deletions.length} that an earlier pass has read are deleted there (see the report)`
  for (const { kind, sid, reason } of problems.slice(0, printed)) yield `not taken: ${kind} ${sid}: ${reason}`
  if (problems.length > printed) yield `not taken: ${problems.length - printed} more (see the report)`
  yield isComplete
    ? 'everything that the API shows was taken'
    : 'not everything was taken: run it again with --since to try the rest'
}
