import { useEffect, useRef } from 'react'
import { useAct } from '../act.ts'
import { post } from '../api.ts'
import { Field, Problem, textsOf } from '../parts/basics.tsx'

/** What went wrong at the provider, in the words of the server. */
const problems: Readonly<Record<string, string>> = {
  provider: 'The provider cannot be reached, or does not work as configured. Try again, or sign in with a token.',
  state: 'This sign-in was not begun in this browser, or has taken longer than ten minutes. Try again.',
  refused: 'The provider has not signed you in.',
  group: 'You are in none of the groups that may use this console.',
}

interface SignInProps {
  /** Of a link that signs in. */
  readonly code: string | null
  /** The OpenID provider at which one can sign in, too; null: none. */
  readonly openId: string | null
  readonly problem: string | null
  readonly onDone: () => void
}

/** Shown in place of any page while nobody is signed in. */
export function SignIn({ code, openId, problem, onDone }: SignInProps) {
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
      {problem !== null && (
        <div className="problem" role="alert">
          <span>{problems[problem] ?? 'The sign-in has failed.'}</span>
        </div>
      )}
      {openId !== null && (
        <p>
          <a className="button" href={`/admin/v1/session/openid?to=${encodeURIComponent(location.pathname + location.search)}`}>
            Sign in at {openId}
          </a>
        </p>
      )}
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
          hint="Your own (plo_…), or that of the installation: PARLEY_ADMIN_TOKEN, or what the first start has written to data/parley.admin-token. The command “parley console” prints a link that signs in without it."
        />
        <Problem error={signIn.error} />
        <button type="submit" className="primary" disabled={signIn.isPending}>
          Sign in
        </button>
      </form>
    </main>
  )
}
