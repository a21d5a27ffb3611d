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

/** To whom it is sent. Pushes have no URL, nor have channels whose kind knows it. */
export function sentTo({ kind, url }: Pick<Delivery, 'kind' | 'url'>): string {
  if (kind === 'loopback') return 'nobody: no channel carries the address'
  return url ?? (kind === 'push' ? 'a device' : 'a channel')
}

export function DeliveryLink({ delivery }: { readonly delivery: Delivery }) {
  return (
    <Link
      to="/deliveries/$id"
      params={{ id: delivery.id }}
      className="delivery-link"
      title={`${sentTo(delivery)}: ${lastAttempt(delivery)}`}
    >
      {delivery.event_type} <StatusBadge status={delivery.status} />
    </Link>
  )
}
