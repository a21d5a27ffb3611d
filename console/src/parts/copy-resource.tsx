import type { Form } from '../api.ts'
import { copy } from './basics.tsx'

interface CopyResourceProps {
  /** In whose name. */
  readonly account?: string
  readonly path: string
  readonly resource: object
  /** The request that makes one like it; absent where the resource is always there. */
  readonly makes?: { readonly path: string; readonly form?: Form; readonly json?: object }
}

/** Copies a resource as JSON, as the command that reads it, and as the one that makes another like it. */
export function CopyResource({ account, path, resource, makes }: CopyResourceProps) {
  return (
    <>
      <button type="button" onClick={() => copy(JSON.stringify(resource, null, 2), 'The resource')}>
        Copy as JSON
      </button>
      <button type="button" onClick={() => copy(curl(account, path), 'The command')}>
        Copy as curl
      </button>
      {makes && (
        <button type="button" onClick={() => copy(curl(account, makes.path, makes), 'The command')}>
          Copy the curl that makes it
        </button>
      )}
    </>
  )
}

/** Returns a command for a shell. The operator token stays in its variable: what is copied may be pasted anywhere. */
export function curl(account: string | undefined, path: string, { form, json }: { form?: Form; json?: object } = {}): string {
  const parts = ['curl -H "Authorization: Bearer $PARLEY_ADMIN_TOKEN"']
  if (account !== undefined) parts.push(`-H 'X-Parley-Account: ${account}'`)
  for (const [name, value] of Object.entries(form ?? {})) {
    for (const text of [value ?? []].flat()) parts.push(`--data-urlencode ${quoted(`${name}=${text}`)}`)
  }
  if (json) parts.push("-H 'Content-Type: application/json'", `--data-raw ${quoted(JSON.stringify(json))}`)
  return `${parts.join(' ')} ${quoted(location.origin + path)}`
}

/** A word of a POSIX shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}
