import { attributesOf, nameOf, type Population, sidOf } from './population.ts'

/** The credentials of every contestant. */
export const account_sid = 'AC00000000000000000000000000000b01'
export const auth_token = 'b'.repeat(32)
export const adminToken = 'a'.repeat(32)
export const authorization = `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`

/** What a burst workloads for, over and over. */
export type Workload =
  | { readonly verb: 'page' }
  /** A random row of `among`, spread over the table. `unique_host`: another Host header each time, so that no cache can help. */
  | { readonly verb: 'fetch'; readonly by: 'sid' | 'name'; readonly among: number; readonly unique_host?: true }
  | { readonly verb: 'update'; readonly among: number }
  /** `service_sid`: in this service, and with webhooks. `names`: in random order, as people choose them, or each after the last. */
  | { readonly verb: 'create'; readonly service_sid: string | null; readonly names: 'scattered' | 'ordered' }
  /** From the customer of a random one of `count` conversations. `service_sid`: as above. */
  | { readonly verb: 'message'; readonly service_sid: string | null; readonly first: number; readonly count: number }
  /** Adds a participant to one of `count` conversations after the other: a new user or a known one. */
  | { readonly verb: 'join'; readonly who: 'stranger' | 'user'; readonly count: number }
  /** The same path each time. */
  | { readonly verb: 'get'; readonly path: string }

export function statusOf({ verb }: Workload): number {
  return verb === 'create' || verb === 'message' || verb === 'join' ? 201 : 200
}

export function isRead({ verb }: Workload): boolean {
  return verb === 'page' || verb === 'fetch' || verb === 'get'
}

/** The author of the messages of conversation `i`. */
export function customerOf(i: number): string {
  return `customer-${i}`
}

/** One of the users that exist before the measurement. */
export function agentOf(i: number): string {
  return `agent-${i % agents}`
}

/** Prime, so that no agent joins a conversation twice within a million joins. */
export const agents = 97

/** Makes the names that this process creates unique. */
let counter = 0

/** Returns a function that returns the next request as sent over the wire. Constant parts are built once. */
export function requests(workload: Workload, port: number, population: Population): () => string {
  const host = `127.0.0.1:${port}`
  if (workload.verb === 'page') {
    const text = get('/v1/Conversations?PageSize=50', host)
    return () => text
  }
  if (workload.verb === 'get') {
    const text = get(workload.path, host)
    return () => text
  }
  if (workload.verb === 'join') return () => join(workload, host, population)
  if (workload.verb === 'create' || workload.verb === 'message') {
    const path = workload.service_sid === null ? '/v1/Conversations' : `/v1/Services/${workload.service_sid}/Conversations`
    const extra = workload.service_sid === null ? '' : 'X-Twilio-Webhook-Enabled: true\r\n'
    if (workload.verb === 'create') return () => post(path, host, creation(workload.names), extra)
    return () => {
      const row = workload.first + Math.floor(Math.random() * workload.count)
      return post(`${path}/${sidOf(population, row)}/Messages`, host, message(row), extra)
    }
  }
  const row = () => Math.floor(Math.random() * workload.among) * Math.floor(population.rows / workload.among)
  if (workload.verb === 'update')
    return () => post(`/v1/Conversations/${sidOf(population, row())}`, host, `FriendlyName=Renamed+${counter++}`)
  const key = workload.by === 'sid' ? (i: number) => sidOf(population, i) : nameOf
  return () => get(`/v1/Conversations/${key(row())}`, workload.unique_host ? addressOf(counter++) : host)
}

/** Returns the form of a creation, with a new unique name. */
export function creation(names: 'scattered' | 'ordered' = 'scattered'): string {
  const number = counter++
  // Scattered: numbered above every loaded row. Ordered: sorted after all of them.
  const name = names === 'scattered' ? nameOf(0x40000000 + number) : `order-${String(number).padStart(12, '0')}`
  return `FriendlyName=Order+${number}&UniqueName=${name}&Attributes=${encodeURIComponent(attributesOf(number))}`
}

/** Returns the form of a message of ordinary length. */
function message(row: number): string {
  const body = `Message ${counter++}: my order has not arrived yet, could you please tell me where it is?`
  return `Author=${customerOf(row)}&Body=${encodeURIComponent(body)}`
}

function join({ who, count }: Workload & { verb: 'join' }, host: string, population: Population): string {
  const number = counter++
  // Visits all of them in no order: 7919 is prime.
  const row = (number * 7919) % count
  const identity = who === 'stranger' ? `stranger-${number}` : agentOf(number)
  return post(`/v1/Conversations/${sidOf(population, row)}/Participants`, host, `Identity=${identity}`)
}

/** A name that is not the server's would be refused; an address is not. */
function addressOf(number: number): string {
  return `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`
}

function get(path: string, host: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${authorization}\r\n\r\n`
}

function post(path: string, host: string, form: string, extra = ''): string {
  return `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${authorization}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n${extra}\r\n${form}`
}
