import { settings } from '../config.ts'

/** Variables that others set: the examples, the tests, and Kubernetes for a service of the name `parley`. */
const others = /^PARLEY_(URL|TEST_POSTGRES_URL|TEST_ENGINE|FAULT_\w+|SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_\w+)$/
const servicePort = /^(tcp|udp):\/\//

/** Returns a sentence for each variable `PARLEY_…` that is not a setting, with the name that may have been meant. */
export function unknownSettings(env: NodeJS.ProcessEnv): string[] {
  const known = new Set<string>(settings.map((setting) => setting.env))
  return Object.entries(env)
    .filter(([name, value]) => name.startsWith('PARLEY_') && !known.has(name) && !others.test(name) && value)
    .filter(([name, value]) => !(name === 'PARLEY_PORT' && servicePort.test(value ?? '')))
    .map(([name]) => {
      const meant = nearest(name)
      return `${name} is not a setting and has no effect${meant ? `: ${meant} may be meant` : ' (parley serve --help lists the settings)'}`
    })
}

/** Returns the setting whose name differs the least, unless it differs in more than a third. The prefix does not count. */
function nearest(name: string): string | undefined {
  const bare = withoutPrefix(name)
  let best: { readonly env: string; readonly edits: number } | undefined
  for (const { env } of settings) {
    const edits = editDistance(bare, withoutPrefix(env))
    if (edits <= Math.max(bare.length, env.length) / 3 && edits < (best?.edits ?? Number.POSITIVE_INFINITY)) best = { env, edits }
  }
  return best?.env
}

function withoutPrefix(name: string): string {
  return name.replace(/^PARLEY_/, '')
}

/** The number of letters to insert, delete or replace (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...b].entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
