import { randomBytes } from 'node:crypto'
import { request } from 'undici'
import { LiveRows } from './live-rows.ts'
import { Random } from './random.ts'
import { basic } from './requests/head.ts'
import type { Account, World } from './surroundings.ts'

export interface Server {
  readonly host: string
  readonly adminToken: string
}

/** A row that has been made, and where it lies. */
interface Made {
  readonly collection: string
  readonly service: string
  readonly keys: readonly string[]
}

/** Makes the accounts, and something in each. `first`: the account of the first start. */
export async function prepareWorld(
  server: Server,
  first: { readonly sid: string; readonly auth_token: string },
  { hook, secret, markers }: { readonly hook: string; readonly secret: string; readonly markers: Markers },
): Promise<World> {
  const a = await withKey(server, { ...first, marker: markers.a })
  const b = await withKey(server, { ...(await newAccount(server)), marker: markers.b })
  const victim = await withKey(server, { ...(await newAccount(server)), marker: markers.victim })
  const made = await fill(server, victim, `${hook}/victim`, secret)
  return {
    ...{ host: server.host, hook, adminToken: server.adminToken, secret },
    accounts: { a, b },
    rows: {
      a: await liveRows(server, a, `${hook}/a`, secret),
      b: await liveRows(server, b, `${hook}/b`, secret),
      operator: new LiveRows(),
    },
    victim: { account: victim, sids: made.flatMap(({ keys }) => keys.slice(-1)) },
  }
}

export interface Markers {
  readonly a: string
  readonly b: string
  readonly victim: string
}

/** Words that nothing else has. */
export function newMarkers(): Markers {
  const marker = (name: string) => `stored-by-${name}-${randomBytes(4).toString('hex')}`
  return { a: marker('a'), b: marker('b'), victim: marker('victim') }
}

/** What an account holds, as its lists show it. */
export async function contentsOf(server: Server, account: Account, paths: readonly string[]): Promise<string> {
  const pages: string[] = []
  for (const path of paths) pages.push(await call(server, account, path))
  return pages.join('\n')
}

export function pathsOf({ victim }: World): readonly string[] {
  const [conversation = '', service = ''] = [sidLike(victim.sids, 'CH'), sidLike(victim.sids, 'IS')]
  const below = ['Participants', 'Messages', 'Webhooks'].map((name) => `/v1/Conversations/${conversation}/${name}`)
  const family = ['Conversations', 'Users', 'Roles'].map((name) => `/v1/Services/${service}/${name}`)
  const account = [
    'Configuration',
    'Configuration/Addresses',
    'Configuration/Webhooks',
    'Credentials',
    'Services',
    'Conversations',
    'Users',
    'Roles',
  ]
  return [...account.map((name) => `/v1/${name}`), ...below, ...family]
}

function sidLike(sids: readonly string[], prefix: string): string | undefined {
  return sids.find((sid) => sid.startsWith(prefix))
}

async function newAccount(server: Server): Promise<{ sid: string; auth_token: string }> {
  return ask(server, `Bearer ${server.adminToken}`, '/admin/v1/accounts', '{}', 'application/json')
}

async function withKey(server: Server, account: Omit<Account, 'key_sid' | 'key_secret'>): Promise<Account> {
  const path = `/admin/v1/accounts/${account.sid}/keys`
  const key = await ask<{ sid: string; secret: string }>(server, `Bearer ${server.adminToken}`, path, '{}', 'application/json')
  return { ...account, key_sid: key.sid, key_secret: key.secret }
}

async function liveRows(server: Server, account: Account, hook: string, secret: string): Promise<LiveRows> {
  const rows = new LiveRows()
  const random = new Random(0, 0)
  const configuration = JSON.parse(await call(server, account, '/v1/Configuration')) as { default_chat_service_sid: string }
  rows.default_service = configuration.default_chat_service_sid
  rows.add('Services', { service: '', keys: [rows.default_service] }, random)
  for (const { collection, service, keys } of await fill(server, account, hook, secret)) {
    rows.add(collection, { service: service || (isOfAccount(collection) ? '' : rows.default_service), keys }, random)
  }
  return rows
}

function isOfAccount(collection: string): boolean {
  return /^(?:Configuration|Credentials|Services)/.test(collection)
}

/** One row of most kinds, in the default service and in another. */
async function fill(server: Server, account: Account, hook: string, secret: string): Promise<Made[]> {
  const { marker } = account
  const make = async (collection: string, service: string, parents: readonly string[], form: Form): Promise<Made> => {
    const names = collection.split('/')
    const path = names.length > 1 && parents.length > 0 ? `${names[0]}/${parents[0]}/${names[1]}` : collection
    const { sid } = JSON.parse(await call(server, account, `/v1/${service && `Services/${service}/`}${path}`, form)) as {
      sid: string
    }
    return { collection, service, keys: [...parents, sid] }
  }
  const of_account = [
    await make('Services', '', [], { FriendlyName: marker }),
    await make('Credentials', '', [], { Type: 'fcm', FriendlyName: marker, Secret: secret }),
    await make('Configuration/Addresses', '', [], {
      Type: 'sms',
      Address: `+1556${Math.floor(Math.random() * 1e7)}`,
      FriendlyName: marker,
    }),
  ]
  const service = of_account[0]?.keys[0] ?? ''
  const families = await Promise.all(
    ['', service].map((of) => fillFamily((name, parents, form) => make(name, of, parents, form), marker, hook)),
  )
  return [...of_account, ...families.flat()]
}

type Form = Readonly<Record<string, string>>
type Make = (collection: string, parents: readonly string[], form: Form) => Promise<Made>

async function fillFamily(make: Make, marker: string, hook: string): Promise<Made[]> {
  const conversation = await make('Conversations', [], {
    FriendlyName: marker,
    UniqueName: `${marker}-1`,
    Attributes: JSON.stringify({ marker }),
  })
  const { keys } = conversation
  return [
    conversation,
    await make('Roles', [], { FriendlyName: marker, Type: 'conversation', Permission: 'sendMessage' }),
    await make('Users', [], { Identity: `${marker}-user`, FriendlyName: marker }),
    await make('Conversations/Participants', keys, { Identity: `${marker}-1`, Attributes: JSON.stringify({ marker }) }),
    await make('Conversations/Messages', keys, { Author: `${marker}-1`, Body: marker, Attributes: JSON.stringify({ marker }) }),
    await make('Conversations/Webhooks', keys, {
      Target: 'webhook',
      'Configuration.Url': hook,
      'Configuration.Filters': 'onMessageAdded',
    }),
  ]
}

async function call(server: Server, { sid, auth_token }: Account, path: string, form?: Form): Promise<string> {
  const body = form && new URLSearchParams(form).toString()
  return JSON.stringify(await ask(server, basic(sid, auth_token), path, body, 'application/x-www-form-urlencoded'))
}

async function ask<R>({ host }: Server, authorization: string, path: string, body: string | undefined, type: string): Promise<R> {
  const answer = await request(`http://${host}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization, ...(body !== undefined && { 'content-type': type }) },
    body: body ?? null,
  })
  const text = await answer.body.text()
  if (answer.statusCode >= 300) throw new Error(`${path}: ${answer.statusCode} ${text}`)
  return JSON.parse(text) as R
}
