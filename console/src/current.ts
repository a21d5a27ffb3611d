import { useQuery } from '@tanstack/react-query'
import { useRouterState } from '@tanstack/react-router'
import { accounts, server } from './queries.ts'

/** The service that the URL names, or else the default one of the account that it names, or else of the first account. */
export function useCurrentService(): string | undefined {
  const path = useRouterState({ select: ({ location }) => location.pathname })
  const info = useQuery(server)
  const all = useQuery(accounts)
  const inUrl = /\/services\/(IS[0-9a-f]{32})/.exec(path)?.[1]
  const account = /\/accounts\/(AC[0-9a-f]{32})/.exec(path)?.[1] ?? info.data?.first_account_sid
  return inUrl ?? all.data?.find(({ sid }) => sid === account)?.default_chat_service_sid
}
