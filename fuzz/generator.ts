import type { Plan } from './plan.ts'
import { Random, Weighted } from './random.ts'
import { adminPlan } from './requests/admin.ts'
import { apiPlan } from './requests/api.ts'
import { mediaPlan } from './requests/media.ts'
import { pathsPlan } from './requests/paths.ts'
import { socketPlan } from './requests/sockets.ts'
import type { World } from './surroundings.ts'

const kinds = new Weighted([
  [apiPlan, 80],
  [mediaPlan, 6],
  [adminPlan, 7],
  [pathsPlan, 4],
  [socketPlan, 3],
] as const)

/** Request `index` of a run: the same seed and the same world give the same bytes. */
export function planOf(seed: number, index: number, world: World): Plan {
  const random = new Random(seed, index)
  return kinds.pick(random)(random, index, world)
}
