import { QueryClientProvider, useQuery } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { onSignedOut } from './api.ts'
import { SignIn } from './pages/sign-in.tsx'
import { Loading, Problem } from './parts/basics.tsx'
import * as queries from './queries.ts'
import { queryClient } from './queries.ts'
import { router } from './router.tsx'
import { applyTheme } from './settings.ts'
import './style.css'
import { NowProvider } from './time.tsx'

/** The code of a link that signs in. It is taken out of the address, which may be copied or kept. */
function codeOf({ hash }: Location): string | null {
  const code = new URLSearchParams(hash.slice(1)).get('code')
  if (code !== null) history.replaceState(null, '', location.pathname + location.search)
  return code
}

const code = codeOf(location)

/** The pages, or signing in. Whoever is signed out meanwhile comes back to the same page. */
function Console() {
  const session = useQuery(queries.session)
  const info = useQuery({ ...queries.server, enabled: session.data === true })
  useEffect(() => onSignedOut(() => queryClient.setQueryData(queries.session.queryKey, false)), [])
  if (session.data === false) {
    const enter = () => {
      queryClient.clear()
      void session.refetch()
    }
    return <SignIn code={code} onDone={enter} />
  }
  if (!info.data) {
    const error = session.error ?? info.error
    const retry = () => void (session.error ? session.refetch() : info.refetch())
    return (
      <main>
        <h1>Parley</h1>
        {error ? <Problem error={error} retry={retry} /> : <Loading what="the console" />}
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
