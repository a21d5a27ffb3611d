/** Returns what is wrong with the base of a provider's API, as a sentence. Credentials have settings of their own. */
export function baseUrlProblem(base_url: string): string | undefined {
  const { username, password, search, hash } = new URL(base_url)
  return username + password + search + hash === '' ? undefined : 'base_url must have no user name, password, query or fragment'
}

/** Returns a base without the slash at its end. */
export function withoutSlash(base_url: string): string {
  return base_url.replace(/\/$/, '')
}
