import { median } from '../reports/figures.ts'
import type { Sample } from './rounds.ts'

interface Key {
  readonly operation: string
  readonly connections: number
  readonly contestant: string
}

/** The samples of each cell, one per round. */
export class Results {
  readonly #samples = new Map<string, Sample[]>()

  add(cell: Key, sample: Sample): void {
    const key = `${cell.operation}|${cell.connections}|${cell.contestant}`
    const samples = this.#samples.get(key)
    if (samples) samples.push(sample)
    else this.#samples.set(key, [sample])
  }

  of(operation: string, connections: number, contestant: string): readonly Sample[] {
    return this.#samples.get(`${operation}|${connections}|${contestant}`) ?? []
  }

  /** Returns the median of a figure over the rounds. */
  median(operation: string, connections: number, contestant: string, figure: keyof Sample): number {
    return median(this.of(operation, connections, contestant).map((sample) => sample[figure]))
  }

  /** Returns the median of the ratios within each round; NaN where one of the two did not run. */
  ratio(a: readonly Sample[], b: readonly Sample[], figure: keyof Sample): number {
    return median(a.slice(0, b.length).map((sample, i) => sample[figure] / (b[i] as Sample)[figure]))
  }

  all(): Sample[] {
    return [...this.#samples.values()].flat()
  }
}

/** Returns the values in random order, so that none always runs after the same one. */
export function shuffled<T>(values: readonly T[]): T[] {
  const left = [...values]
  return values.map(() => left.splice(Math.floor(Math.random() * left.length), 1)[0] as T)
}
