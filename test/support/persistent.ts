import { setTimeout as delay } from 'node:timers/promises'
import type { Tenant } from './tenant.ts'

const againMs = 50

/**
 * Requests that are sent again while the answer is 503, as clients do. So many at once wait for one conversation that a slow machine
 * does not get through them in the time that a request may wait; such a refusal has changed nothing.
 */
export function persistent(tenant: Tenant): Tenant['call'] {
  return async (...request) => {
    for (;;) {
      const answer = await tenant.call(...request)
      if (answer.status !== 503) return answer
      await delay(againMs)
    }
  }
}
