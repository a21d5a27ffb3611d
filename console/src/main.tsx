import { QueryClientProvider, useQuery } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { onSignedOut } from './api.ts'
import { onOthers, type SessionChange, tellOthers } from './other-pages.ts'
import { SignIn } from './pages/sign-in.tsx'
import { Loading, Problem } from './parts/basics.tsx'
import { SignOut } from './parts/sign-out.tsx'
import * as queries from './queries.ts'
import { queryClient } from './queries.ts'
import { useMay } from './rights.ts'
import { router } from './router.tsx'
import { applyTheme } from './settings.ts'
import './style.css'
import { NowProvider } from './time.tsx'

/**
 * The code of a link that signs in, or what went wrong at the OpenID provider. It is taken out of the address, which may be copied or
 * kept.
 */
function taken({ hash }: Location, name: string): string | null {
  const text = new URLSearchParams(hash.slice(1)).get(name)
  if (text !== null) history.replaceState(null, '', location.pathname + location.search)
  return text
}

const code = taken(location, 'code')
const problem = taken(location, 'problem')

/** Whoever was signed in is not any more; where one can sign in stays as it was. */
function forgetSignedIn(): void {
  queryClient.setQueryData(queries.session.queryKey, (before) => before && { ...before, operator: null })
}

/** Nothing that was read before is shown to whoever has come. */
function lookAnew(): void {
  queryClient.removeQueries({ predicate: ({ queryKey: [key] }) => key !== 'session' })
  void queryClient.refetchQueries(queries.session)
}

/** What another page of this browser says: the one that shows something else than it should looks who is signed in. */
function followOthers(change: SessionChange): void {
  const isSignedIn = queryClient.getQueryData(queries.session.queryKey)?.operator !== null
  if (isSignedIn === (change === 'out')) lookAnew()
}

/** The pages, or signing in. Whoever is signed out meanwhile comes back to the same page. */
function Console() {
  const session = useQuery(queries.session)
  const mayRead = useMay('read')
  const info = useQuery({ ...queries.server, enabled: mayRead })
  useEffect(() => onSignedOut(forgetSignedIn), [])
  useEffect(() => onOthers(followOthers), [])
  if (session.data?.operator === null) {
    const enter = () => {
      lookAnew()
      tellOthers('in')
    }
    return <SignIn code={code} openId={session.data.openid} problem={problem} onDone={enter} />
  }
  // Some may see no more than the audit log.
  if (!session.data || (mayRead && !info.data)) {
    const error = session.error ?? info.error
    const retry = () => void (session.error ? session.refetch() : info.refetch())
    return (
      <main>
        <h1>Parley</h1>
        {error ? <Problem error={error} retry={retry} /> : <Loading what="the console" />}
        {error && session.data?.operator && <SignOut />}
      </main>
    )
  }
  return (
    <NowProvider>
      <RouterProvider router={router} />
    </NowProvider>
  )
}

applyTheme()
const root = document.getElementById('root')
if (!root) throw new Error('the page has no place for the console')
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <Console />
    </QueryClientProvider>
  </StrictMode>,
)
