import { useQuery } from '@tanstack/react-query'
import { useRouterState } from '@tanstack/react-router'
import { accounts, server } from './queries.ts'
import { useMay } from './rights.ts'

/**
 * The service that the URL names, or else the default one of the account that it names, or else of the first account; none for those who
 * may not see any.
 */
export function useCurrentService(): string | undefined {
  const path = useRouterState({ select: ({ location }) => location.pathname })
  const enabled = useMay('read')
  const info = useQuery({ ...server, enabled })
  const all = useQuery({ ...accounts, enabled })
  const inUrl = /\/services\/(IS[0-9a-f]{32})/.exec(path)?.[1]
  const account = /\/accounts\/(AC[0-9a-f]{32})/.exec(path)?.[1] ?? info.data?.first_account_sid
  if (!enabled) return undefined
  return inUrl ?? all.data?.find(({ sid }) => sid === account)?.default_chat_service_sid
}
