import { useEffect, useRef } from 'react'
import { useAct } from '../act.ts'
import { post } from '../api.ts'
import { Field, Problem, textsOf } from '../parts/basics.tsx'

/** Shown in place of any page while nobody is signed in. `code`: of a link that signs in. */
export function SignIn({ code, onDone }: { readonly code: string | null; readonly onDone: () => void }) {
  const signIn = useAct({
    mutationFn: (by: { token?: string; code?: string }) => post('/admin/v1/session', { json: by }),
    onSuccess: onDone,
  })
  const { mutate } = signIn
  const used = useRef(false)
  useEffect(() => {
    // Once: the second time it would be refused.
    if (code === null || used.current) return
    used.current = true
    mutate({ code })
  }, [code, mutate])
  return (
    <main className="sign-in">
      <h1>Parley</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          mutate({ token: textsOf(event.currentTarget).token ?? '' })
        }}
      >
        <Field
          label="Operator token"
          name="token"
          type="password"
          autoComplete="current-password"
          required
          hint="PARLEY_ADMIN_TOKEN, or what the first start has written to data/parley.admin-token. The command “parley console” prints a link that signs in without it."
        />
        <Problem error={signIn.error} />
        <button type="submit" className="primary" disabled={signIn.isPending}>
          Sign in
        </button>
      </form>
    </main>
  )
}
