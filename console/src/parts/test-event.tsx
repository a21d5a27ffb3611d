import { useQuery } from '@tanstack/react-query'
import { useAct } from '../act.ts'
import { type Delivery, post } from '../api.ts'
import { delivery } from '../queries.ts'
import { Problem } from './basics.tsx'
import { DeliveryLink, lastAttempt } from './delivery-link.tsx'

interface TestEventProps {
  /** SID of the account, service or conversation webhook. */
  readonly target: string
  readonly conversation?: string | null
}

/** Sends a test event to a webhook, and shows what comes of it. */
export function TestEvent({ target, conversation = null }: TestEventProps) {
  const send = useAct({
    mutationFn: () =>
      post<Delivery>(
        `/admin/v1/targets/${target}/test`,
        conversation === null ? {} : { json: { conversation_sid: conversation } },
      ),
  })
  return (
    <div className="test-event">
      <button type="button" disabled={send.isPending} onClick={() => send.mutate()}>
        Send a test event
      </button>
      <Problem error={send.error} />
      {send.data && !send.isPending && <Sent written={send.data} />}
    </div>
  )
}

/** Read again with what happens to deliveries. */
function Sent({ written }: { readonly written: Delivery }) {
  const found = useQuery(delivery(written.id))
  const now = found.data ?? written
  return (
    <p role="status">
      <DeliveryLink delivery={now} /> <span className="row-note">{lastAttempt(now)}</span>
      <Problem error={found.error} />
    </p>
  )
}
