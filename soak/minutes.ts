/** What is known after each period of a soak. */
export interface Minute {
  /** Since the start. */
  readonly s: number
  readonly requests: number
  /** Answers of 5xx, and requests that nobody answered although the caller waited. */
  readonly errors: number
  readonly rss_mb: number
  /** Size of the SQLite file; of PostgreSQL, infinite. */
  readonly database_bytes: number
  readonly health_p50_ms: number
  readonly health_p99_ms: number
  readonly fetch_p50_ms: number
  readonly fetch_p99_ms: number
}

/**
 * By how much memory has grown, as a share of what it was, along the straight line that fits best: one reading would be that
 * of a garbage collection. NaN of fewer than two.
 */
export function growthOf(readings: readonly Pick<Minute, 's' | 'rss_mb'>[]): number {
  if (readings.length < 2) return Number.NaN
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [mean_s, mean_mb] = [mean(readings.map(({ s }) => s)), mean(readings.map(({ rss_mb }) => rss_mb))]
  const rise = mean(readings.map(({ s, rss_mb }) => (s - mean_s) * (rss_mb - mean_mb)))
  const slope = rise / mean(readings.map(({ s }) => (s - mean_s) ** 2))
  const [first_s, last_s] = [readings[0]?.s ?? 0, readings.at(-1)?.s ?? 0]
  const start_mb = mean_mb + slope * (first_s - mean_s)
  return (slope * (last_s - first_s)) / start_mb
}

/**
 * Returns the readings of a server that has warmed up: after `warm_s`, and once the database is so large that the cache must be
 * full. In a run that is too short for that, only the time counts.
 */
export function warmReadings<M extends Pick<Minute, 's' | 'database_bytes'>>(
  minutes: readonly M[],
  warm_s: number,
  full_bytes: number,
): readonly M[] {
  const late = minutes.filter(({ s }) => s >= warm_s)
  const full = late.filter(({ database_bytes }) => database_bytes > full_bytes)
  return full.length > late.length / 4 ? full : late
}
