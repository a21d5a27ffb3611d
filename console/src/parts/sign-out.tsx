import { remove } from '../api.ts'
import { tellOthers } from '../other-pages.ts'
import { useSignedIn } from '../rights.ts'

/** Who is signed in, and the way out. */
export function SignOut() {
  const who = useSignedIn()
  return (
    <>
      {who && (
        <p className="row-note">
          Signed in as {who.name} ({who.role}
          {who.accounts === null ? '' : `, ${who.accounts.length} account${who.accounts.length === 1 ? '' : 's'}`})
        </p>
      )}
      <button
        type="button"
        onClick={() => {
          void remove('/admin/v1/session').then(() => {
            tellOthers('out')
            // At the provider, too: it would sign in again without a question.
            if (who?.id.startsWith('openid:')) location.assign('/admin/v1/session/openid/end')
            else location.reload()
          })
        }}
      >
        Sign out
      </button>
    </>
  )
}
