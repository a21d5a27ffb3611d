import { request } from 'undici'
import { signToken } from '../../src/client/tokens.ts'
import { serveParent } from '../child.ts'
import { authorization } from '../workload.ts'
import { Follower } from './follower.ts'

/** Clients of one server, by a name of the group. */
export interface Open {
  readonly open: string
  readonly port: number
  /** What each follows; of a bare server nothing. */
  readonly clients: readonly { readonly identity: string; readonly objects: readonly string[] }[]
  /** What signs their tokens; null for a bare server. */
  readonly key: {
    readonly sid: string
    readonly secret: string
    readonly account_sid: string
    readonly service_sid: string
  } | null
}

/** One request whose effect everybody in a group is told. `frames`: of how many frames for each of them. */
export interface Spread {
  readonly spread: string
  readonly port: number
  readonly path: string
  readonly form: string
  readonly frames: number
}

export interface Spreading {
  /** From the request to its answer, and from the answer to the last frame; negative when that came first. */
  readonly answered_ms: number
  readonly last_ms: number
  /** Of the last one to be told, as hex: for a bare server that is to send the same bytes. */
  readonly bytes: readonly string[]
}

interface Group {
  readonly followers: readonly Follower[]
  readonly tokens: readonly (string | null)[]
  readonly port: number
  frames: number
  /** The last ones. */
  bytes: Buffer[]
  told: (() => void) | undefined
}

const groups = new Map<string, Group>()
const atOnce = 200
const lifetimeS = 86_400

async function open({ open: name, port, clients, key }: Open): Promise<{ ms: number }> {
  const group: Group = {
    followers: clients.map(({ objects }) => new Follower(objects, (bytes) => receive(group, bytes))),
    tokens: await Promise.all(
      clients.map(
        ({ identity }) => key && signToken(key, { ...key, identity, push_credential_sid: null }, lifetimeS, Date.now()),
      ),
    ),
    port,
    frames: 0,
    bytes: [],
    told: undefined,
  }
  groups.set(name, group)
  const startMs = performance.now()
  for (let first = 0; first < clients.length; first += atOnce) await connected(group, first, first + atOnce)
  return { ms: performance.now() - startMs }
}

async function connected({ followers, tokens, port }: Group, from: number, to: number): Promise<void> {
  await Promise.all(
    followers.slice(from, to).map(async (follower, i) => {
      const token = tokens[from + i] ?? null
      await follower.open(port, token)
      if (token !== null) await follower.follow()
    }),
  )
}

function receive(group: Group, bytes: Buffer): void {
  group.frames++
  group.bytes.push(bytes)
  if (group.bytes.length > 2) group.bytes.shift()
  group.told?.()
}

/** All lose their connections. */
function drop(name: string): object {
  for (const follower of groupOf(name).followers) follower.drop()
  return {}
}

/** All come back at once. */
async function back(name: string): Promise<{ ms: number }> {
  const group = groupOf(name)
  const startMs = performance.now()
  await connected(group, 0, group.followers.length)
  return { ms: performance.now() - startMs }
}

async function spread({ spread: name, port, path, form, frames }: Spread): Promise<Spreading> {
  const group = groupOf(name)
  const wanted = group.frames + frames * group.followers.length
  let lastMs = 0
  const told = new Promise<void>((resolve) => {
    group.told = () => {
      if (group.frames < wanted) return
      lastMs = performance.now()
      resolve()
    }
  })
  const startMs = performance.now()
  const answer = await request(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
    body: form,
  })
  await answer.body.dump()
  const answeredMs = performance.now()
  if (answer.statusCode !== 201) throw new Error(`${path} was answered with ${answer.statusCode}`)
  await told
  group.told = undefined
  const bytes = group.bytes.map((one) => one.toString('hex'))
  return { answered_ms: answeredMs - startMs, last_ms: lastMs - answeredMs, bytes }
}

function groupOf(name: string): Group {
  const group = groups.get(name)
  if (!group) throw new Error(`no group of clients ${name}`)
  return group
}

function handle(message: object): unknown {
  if ('open' in message) return open(message as Open)
  if ('spread' in message) return spread(message as Spread)
  if ('drop' in message) return drop(String(message.drop))
  if ('back' in message) return back(String(message.back))
  if ('frames' in message) return { frames: groupOf(String(message.frames)).frames }
  throw new Error('an unknown request to the crowd')
}

serveParent({}, async (message) => {
  try {
    return await handle(message)
  } catch (error) {
    return { error: String(error) }
  }
})
