/** Returns a time in the largest unit that leaves at least two of it. */
export function durationText(ms: number): string {
  const units = [
    ['days', 86_400_000],
    ['hours', 3_600_000],
    ['minutes', 60_000],
  ] as const
  for (const [unit, length] of units) if (ms >= 2 * length) return `${Math.round(ms / length)} ${unit}`
  return `${Math.max(1, Math.round(ms / 1000))} s`
}
