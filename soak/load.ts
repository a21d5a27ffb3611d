import { connect } from 'node:net'
import { Agent, type Dispatcher } from 'undici'
import { basic } from '../fuzz/requests/head.ts'
import type { Endpoints, Kind } from './endpoints.ts'
import { kinds } from './endpoints.ts'

/** A service with what is in it, until it is deleted as a whole. */
interface Tenancy {
  readonly service: string
  readonly conversations: string[]
  readonly media: string[]
}

export interface Caller {
  readonly port: number
  readonly sid: string
  readonly auth_token: string
}

/** What came of one piece of work. */
export interface Done {
  readonly requests: number
  /** 5xx, or no answer. */
  readonly errors: readonly string[]
}

const max_services = 4
const max_conversations = 200
const max_media = 20
/** So many pieces of work, and the oldest service goes, with everything in it. */
const pieces_per_service = 3_000

const form_type = 'application/x-www-form-urlencoded'

/** People at work: what they do is drawn at random, what they make is deleted again. */
export class Load {
  readonly fetches_ms: number[] = []
  readonly #caller: Caller
  readonly #endpoints: Endpoints
  readonly #agent = new Agent({ connections: 64 })
  readonly #tenancies: Tenancy[] = []
  #pieces = 0
  #made = 0
  #requests = 0
  #errors: string[] = []

  constructor(caller: Caller, endpoints: Endpoints) {
    this.#caller = caller
    this.#endpoints = endpoints
  }

  /** One piece of work: a request, or a few that belong together. */
  async piece(): Promise<void> {
    if (this.#pieces++ % pieces_per_service === 0) return this.#renew()
    const tenancy = pick(this.#tenancies)
    if (!tenancy) return
    const conversation = pick(tenancy.conversations)
    if (conversation === undefined) return this.#converse(tenancy)
    await this.#drawn(tenancy, `/v1/Services/${tenancy.service}/Conversations/${conversation}`, conversation)
  }

  /** What has been done since the last call. */
  take(): Done {
    const done = { requests: this.#requests, errors: this.#errors }
    this.#requests = 0
    this.#errors = []
    return done
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }

  async #drawn(tenancy: Tenancy, path: string, conversation: string): Promise<unknown> {
    const at = Math.random()
    if (at < 0.3) return this.#fetch(path)
    if (at < 0.55) return this.#post(`${path}/Messages`, { Author: 'ann', Body: `Message ${this.#made++} `.repeat(20) })
    if (at < 0.65) return this.#call('GET', `${path}/Messages?PageSize=50`)
    if (at < 0.7) return this.#call('GET', `/v1/Services/${tenancy.service}/Conversations?PageSize=50`)
    if (at < 0.8) return this.#converse(tenancy)
    if (at < 0.86) return this.#post(`${path}/Participants`, { Identity: `person-${this.#made++}` })
    if (at < 0.9) return this.#post(path, { Attributes: JSON.stringify({ n: this.#made++ }) })
    if (at < 0.93) return this.#send(tenancy, path)
    if (at < 0.96) return this.#delete(tenancy, path, conversation)
    return this.#die(path)
  }

  async #converse(tenancy: Tenancy): Promise<void> {
    const timers = { 'Timers.Inactive': 'PT1M', 'Timers.Closed': 'PT10M' }
    const names = { UniqueName: `soak-${this.#made++}`, FriendlyName: 'Soak' }
    const sid = await this.#post(`/v1/Services/${tenancy.service}/Conversations`, { ...names, ...timers })
    if (sid !== undefined) tenancy.conversations.push(sid)
    if (tenancy.conversations.length > max_conversations) tenancy.conversations.shift()
  }

  async #fetch(path: string): Promise<void> {
    const startMs = performance.now()
    await this.#call('GET', path)
    this.fetches_ms.push(performance.now() - startMs)
  }

  /** A file goes up, into a message, and comes down again. */
  async #send(tenancy: Tenancy, path: string): Promise<void> {
    const media = `/v1/Services/${tenancy.service}/Media`
    const sid = await this.#call('POST', media, Buffer.alloc(Math.floor(Math.random() * 200_000), this.#made++), 'image/png')
    if (sid === undefined) return
    tenancy.media.push(sid)
    if (tenancy.media.length > max_media) tenancy.media.shift()
    await this.#post(`${path}/Messages`, { Author: 'ann', MediaSid: sid })
    await this.#call('GET', `${media}/${sid}/Content`)
  }

  async #delete({ conversations }: Tenancy, path: string, conversation: string): Promise<void> {
    conversations.splice(conversations.indexOf(conversation), 1)
    await this.#call('DELETE', path)
  }

  /** Hangs up at some point: in the head, in the body, or when the answer comes. */
  async #die(path: string): Promise<void> {
    const { port, sid, auth_token } = this.#caller
    const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {})
    const head = `POST ${path}/Messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${basic(sid, auth_token)}\r\nContent-Type: ${form_type}`
    const text = `${head}\r\nContent-Length: 20\r\n\r\nAuthor=ann&Body=bye!!`
    socket.write(text.slice(0, Math.ceil(Math.random() * text.length)))
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20))
    this.#requests++
    socket.resetAndDestroy()
  }

  /** A new service whose webhooks end in one of the ways; the oldest goes. */
  async #renew(): Promise<void> {
    const kind = kinds[Math.floor(this.#pieces / pieces_per_service) % kinds.length] ?? 'agrees'
    const service = await this.#post('/v1/Services', { FriendlyName: kind })
    if (service === undefined) return
    await this.#hook(service, kind)
    this.#tenancies.push({ service, conversations: [], media: [] })
    const old = this.#tenancies.length > max_services ? this.#tenancies.shift() : undefined
    if (old) await this.#call('DELETE', `/v1/Services/${old.service}`)
  }

  async #hook(service: string, kind: Kind): Promise<void> {
    const form = new URLSearchParams({ PostWebhookUrl: this.#endpoints.url(kind), Method: 'POST' })
    // To be asked first costs each caller five seconds where nobody answers.
    if (kind !== 'hangs') form.append('PreWebhookUrl', this.#endpoints.url(kind))
    const events = [
      'onConversationAdded',
      'onConversationStateUpdated',
      'onConversationRemoved',
      'onMessageAdded',
      'onParticipantAdded',
    ]
    for (const event of kind === 'hangs' ? events : [...events, 'onMessageAdd']) form.append('Filters', event)
    await this.#call('POST', `/v1/Services/${service}/Configuration/Webhooks`, form.toString(), form_type)
  }

  #post(path: string, form: Readonly<Record<string, string>>): Promise<string | undefined> {
    return this.#call('POST', path, new URLSearchParams(form).toString(), form_type)
  }

  /** Resolves to the sid in the answer. Refusals are no errors: others delete what this one asks for. */
  async #call(
    method: Dispatcher.HttpMethod,
    path: string,
    body: string | Buffer | null = null,
    type?: string,
  ): Promise<string | undefined> {
    const { port, sid, auth_token } = this.#caller
    this.#requests++
    try {
      const answer = await this.#agent.request({
        ...{ origin: `http://127.0.0.1:${port}`, method, path, body },
        headers: {
          authorization: basic(sid, auth_token),
          'x-twilio-webhook-enabled': 'true',
          ...(type !== undefined && { 'content-type': type }),
        },
      })
      const text = await answer.body.text()
      if (answer.statusCode >= 500) this.#errors.push(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 200)}`)
      return answer.statusCode < 300 ? /"sid":"(\w+)"/.exec(text)?.[1] : undefined
    } catch (error) {
      this.#errors.push(`${method} ${path}: ${error instanceof Error ? error.message : error}`)
      return undefined
    }
  }
}

function pick<T>(values: readonly T[]): T | undefined {
  return values[Math.floor(Math.random() * values.length)]
}
