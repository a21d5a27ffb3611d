import { Link } from '@tanstack/react-router'
import type { Delivery } from '../api.ts'
import { StatusBadge } from './basics.tsx'

/** Such as `200 in 12 ms`. */
export function lastAttempt({ attempts }: Pick<Delivery, 'attempts'>): string {
  const last = attempts.at(-1)
  if (!last) return 'not attempted yet'
  const times = attempts.length > 1 ? ` (attempt ${attempts.length})` : ''
  return `${last.error ?? last.status ?? 'done'} in ${last.duration_ms} ms${times}`
}

export function DeliveryLink({ delivery }: { readonly delivery: Delivery }) {
  return (
    <Link
      to="/deliveries/$id"
      params={{ id: delivery.id }}
      className="delivery-link"
      title={`${delivery.url ?? 'no channel'}: ${lastAttempt(delivery)}`}
    >
      {delivery.event_type} <StatusBadge status={delivery.status} />
    </Link>
  )
}
