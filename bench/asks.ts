import { attributesOf, nameOf, type Population, sidOf } from './population.ts'

/** The credentials that every contestant is given. */
export const account_sid = 'AC00000000000000000000000000000b01'
export const auth_token = 'b'.repeat(32)
export const authorization = `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`

/** What a burst asks for, over and over. */
export type Ask =
  | { readonly verb: 'page' }
  /** A random one among so many, spread over the table. `passing_host`: a Host of its own each time, so that no cache can help. */
  | { readonly verb: 'fetch'; readonly by: 'sid' | 'name'; readonly among: number; readonly passing_host?: true }
  | { readonly verb: 'update'; readonly among: number }
  /** With `service_sid`: there, and with webhooks. `names`: in no order, as people choose them, or each behind the last. */
  | { readonly verb: 'create'; readonly service_sid: string | null; readonly names: 'scattered' | 'ordered' }
  /** By its customer into a random one of `count` conversations. `service_sid`: as above. */
  | { readonly verb: 'message'; readonly service_sid: string | null; readonly first: number; readonly count: number }
  /** Somebody into one of so many conversations after the other: a name never heard of, or a user that is there already. */
  | { readonly verb: 'join'; readonly who: 'stranger' | 'user'; readonly count: number }
  /** The same path each time. */
  | { readonly verb: 'get'; readonly path: string }

export function statusOf({ verb }: Ask): number {
  return verb === 'create' || verb === 'message' || verb === 'join' ? 201 : 200
}

/** Who has written the first messages of a conversation, and goes on. */
export function customerOf(i: number): string {
  return `customer-${i}`
}

/** One of those who are users before anybody is timed. */
export function agentOf(i: number): string {
  return `agent-${i % agents}`
}

/** Prime: no agent comes to a conversation twice before a million have joined. */
export const agents = 97

/** Numbers what this process makes: names must be new. */
let made = 0

/** Answers a function that answers the next request as it goes over the wire. Heads are built once, only what varies is put in. */
export function requests(ask: Ask, port: number, population: Population): () => string {
  const host = `127.0.0.1:${port}`
  if (ask.verb === 'page') {
    const text = get('/v1/Conversations?PageSize=50', host)
    return () => text
  }
  if (ask.verb === 'get') {
    const text = get(ask.path, host)
    return () => text
  }
  if (ask.verb === 'join') return () => join(ask, host, population)
  if (ask.verb === 'create' || ask.verb === 'message') {
    const path = ask.service_sid === null ? '/v1/Conversations' : `/v1/Services/${ask.service_sid}/Conversations`
    const extra = ask.service_sid === null ? '' : 'X-Twilio-Webhook-Enabled: true\r\n'
    if (ask.verb === 'create') return () => post(path, host, creation(ask.names), extra)
    return () => {
      const row = ask.first + Math.floor(Math.random() * ask.count)
      return post(`${path}/${sidOf(population, row)}/Messages`, host, message(row), extra)
    }
  }
  const row = () => Math.floor(Math.random() * ask.among) * Math.floor(population.rows / ask.among)
  if (ask.verb === 'update')
    return () => post(`/v1/Conversations/${sidOf(population, row())}`, host, `FriendlyName=Renamed+${made++}`)
  const key = ask.by === 'sid' ? (i: number) => sidOf(population, i) : nameOf
  return () => get(`/v1/Conversations/${key(row())}`, ask.passing_host ? `h${made++}.test` : host)
}

/** The form of a creation: a new unique name, a friendly name, attributes. */
export function creation(names: 'scattered' | 'ordered' = 'scattered'): string {
  const number = made++
  // Scattered: numbered above every loaded row. Ordered: sorted behind them all.
  const name = names === 'scattered' ? nameOf(0x40000000 + number) : `order-${String(number).padStart(12, '0')}`
  return `FriendlyName=Order+${number}&UniqueName=${name}&Attributes=${encodeURIComponent(attributesOf(number))}`
}

/** About as long as what people write. */
function message(row: number): string {
  const body = `Message ${made++}: my order has not arrived yet, could you please tell me where it is?`
  return `Author=${customerOf(row)}&Body=${encodeURIComponent(body)}`
}

function join({ who, count }: Ask & { verb: 'join' }, host: string, population: Population): string {
  const number = made++
  // All of them in no order: 7919 is prime.
  const row = (number * 7919) % count
  const identity = who === 'stranger' ? `stranger-${number}` : agentOf(number)
  return post(`/v1/Conversations/${sidOf(population, row)}/Participants`, host, `Identity=${identity}`)
}

function get(path: string, host: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${authorization}\r\n\r\n`
}

function post(path: string, host: string, form: string, extra = ''): string {
  return `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${authorization}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n${extra}\r\n${form}`
}
