import { checkAdminAnswer } from './admin-contract.ts'
import { adminToken } from './server.ts'

export interface AdminAnswer {
  readonly status: number
  // Tests look into bodies of every kind.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly body: any
}

/** Any request to the operator's API, with whatever token and body; checks the answer against the published description. */
export async function ask(
  { url }: { readonly url: string },
  method: string,
  path: string,
  body?: unknown,
  token: string | null = adminToken,
): Promise<AdminAnswer> {
  const answer = await fetch(`${url}/admin/v1${path}`, {
    method,
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await answer.text()
  const read = { status: answer.status, body: text === '' ? null : JSON.parse(text) }
  checkAdminAnswer(method, path, read.status, read.body)
  return read
}
