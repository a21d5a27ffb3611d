import { setTimeout as delay } from 'node:timers/promises'
import type { Node, NodeAnswer, Nodes } from '../support/nodes.ts'

/** What a write was answered, and what later writes about it that nobody answered would have made of it. */
export interface Kept {
  /** As it was answered, without its urls. */
  readonly body: Readonly<Record<string, unknown>>
  readonly path: string
  readonly text: string
  readonly possible: readonly string[]
  readonly timed: boolean
}

/** What the writers know. Every text is written once only, so that whatever is found can be told apart. */
export interface Ledger {
  /** By sid: conversations of their own, and messages in the shared ones. */
  readonly conversations: Map<string, Kept>
  readonly messages: Map<string, Kept>
  /** `EventType sid text` of each answered write. */
  readonly events: Set<string>
  /** Texts of writes without an answer: there or not, but wholly. */
  readonly unknown: Set<string>
  readonly statuses: Map<string, number>
  /** Anything that no fault excuses. */
  readonly wrong: string[]
  /** Requests by whether they were answered with success. */
  answered: number
  asked: number
  longest_ms: number
}

export interface Load {
  readonly ledger: Ledger
  /** Paths of the conversations that everybody writes into. */
  readonly shared: readonly string[]
  /** Resolves after so many more requests, whatever came of them. */
  asked(more: number): Promise<void>
  /** Resolves after so many more writes that were answered. */
  answered(more: number): Promise<void>
  /** Resolves when the last request is over. */
  stop(): Promise<void>
}

/** So far away that none ends by itself while the load lasts. */
const timers: Record<string, string> = { 'Timers.Inactive': 'PT1H', 'Timers.Closed': 'PT2H' }
/** Who is refused comes again a little later. */
const againMs = 25

/** Several writers at each of the nodes. A writer whose node is gone goes to another one. */
export async function startLoad({ all }: Nodes, options: { writers: number; shared: number }): Promise<Load> {
  const ledger: Ledger = {
    conversations: new Map(),
    messages: new Map(),
    events: new Set(),
    unknown: new Set(),
    statuses: new Map(),
    wrong: [],
    answered: 0,
    asked: 0,
    longest_ms: 0,
  }
  const shared = await Promise.all(Array.from({ length: options.shared }, (_, i) => openShared(all[i % all.length] as Node, i)))
  const waiting = new Set<{ readonly what: 'asked' | 'answered'; readonly until: number; readonly reached: () => void }>()
  let stopped = false
  const told = () => {
    for (const one of [...waiting]) {
      if (ledger[one.what] < one.until) continue
      waiting.delete(one)
      one.reached()
    }
  }
  const writers = Array.from({ length: options.writers }, async (_, id) => {
    const writer = new Writer(all, id, ledger, shared, told)
    for (let i = 0; !stopped; i++) await writer.write(i)
  })
  // A writer that fails is a fault of the test; it is told when the load is stopped.
  const over = Promise.all(writers)
  over.catch(() => {})
  const reached = (what: 'asked' | 'answered', more: number) =>
    Promise.race([
      new Promise<void>((resolve) => void waiting.add({ what, until: ledger[what] + more, reached: resolve })),
      over.then(() => {}),
    ])
  return {
    ledger,
    shared,
    asked: (more) => reached('asked', more),
    answered: (more) => reached('answered', more),
    async stop() {
      stopped = true
      await over
    },
  }
}

async function openShared(node: Node, i: number): Promise<string> {
  const { status, body } = await node.call('POST', '/v1/Conversations', { FriendlyName: `shared ${i}` })
  if (status !== 201) throw new Error(`a shared conversation was answered ${status}`)
  return `/v1/Conversations/${body.sid}`
}

type Kind = 'conversations' | 'messages'

const kinds = {
  conversations: { added: 'onConversationAdded', updated: 'onConversationUpdated', text: 'FriendlyName' },
  messages: { added: 'onMessageAdded', updated: 'onMessageUpdated', text: 'Body' },
} as const

/** One who writes, a request at a time. */
class Writer {
  readonly #nodes: readonly Node[]
  readonly #id: number
  readonly #ledger: Ledger
  readonly #shared: readonly string[]
  readonly #told: () => void

  constructor(nodes: readonly Node[], id: number, ledger: Ledger, shared: readonly string[], told: () => void) {
    this.#nodes = nodes
    this.#id = id
    this.#ledger = ledger
    this.#shared = shared
    this.#told = told
  }

  /** Mostly messages where others write too; now and then a conversation of one's own, with timers or without. */
  async write(i: number): Promise<void> {
    const text = `${this.#id}.${i}`
    if (i % 8 === 3) return void (await this.#create('conversations', '/v1/Conversations', text, timers))
    if (i % 8 === 6) return this.#make('conversations', '/v1/Conversations', text)
    const path = `${this.#shared[(this.#id + i) % this.#shared.length]}/Messages`
    if (i % 8 === 1) return this.#make('messages', path, text)
    await this.#create('messages', path, text)
  }

  /** Something, and two changes of it. */
  async #make(kind: Kind, path: string, text: string): Promise<void> {
    const sid = await this.#create(kind, path, text)
    if (sid === undefined) return
    for (const step of ['a', 'b']) await this.#update(kind, sid, `${text} ${step}`)
  }

  async #create(kind: Kind, path: string, text: string, more: Record<string, string> = {}): Promise<string | undefined> {
    const { text: name, added } = kinds[kind]
    const answer = await this.#ask(path, { [name]: text, Attributes: attributesOf(text), ...more })
    if (answer.status !== 201) {
      this.#ledger.unknown.add(text)
      return undefined
    }
    const { sid } = answer.body
    const kept = { body: withoutUrls(answer.body), path: `${path}/${sid}`, text, possible: [], timed: more === timers }
    this.#ledger[kind].set(sid, kept)
    this.#ledger.events.add(`${added} ${sid} ${text}`)
    return sid
  }

  async #update(kind: Kind, sid: string, text: string): Promise<void> {
    const { text: name, updated } = kinds[kind]
    const was = this.#ledger[kind].get(sid) as Kept
    const answer = await this.#ask(was.path, { [name]: text, Attributes: attributesOf(text) })
    if (answer.status !== 200) {
      this.#ledger.unknown.add(text)
      this.#ledger[kind].set(sid, { ...was, possible: [...was.possible, text] })
      return
    }
    this.#ledger[kind].set(sid, { ...was, body: withoutUrls(answer.body), text, possible: [] })
    this.#ledger.events.add(`${updated} ${sid} ${text}`)
  }

  async #ask(path: string, form: Record<string, string>): Promise<NodeAnswer> {
    const node = this.#node()
    const answer = await node.call('POST', path, form)
    this.#note(node, answer)
    if (answer.status < 200 || answer.status > 299) await delay(againMs)
    return answer
  }

  #note(node: Node, { status, body, ms }: NodeAnswer): void {
    const ledger = this.#ledger
    const name = status === 0 ? 'broken' : status < 400 ? String(status) : `${status}/${body.code}`
    ledger.statuses.set(name, (ledger.statuses.get(name) ?? 0) + 1)
    ledger.asked++
    ledger.longest_ms = Math.max(ledger.longest_ms, ms)
    if (status === 200 || status === 201) ledger.answered++
    // Only a process that is gone gives no answer.
    else if (!(status === 0 && !node.alive) && name !== '503/20503') {
      ledger.wrong.push(`node ${node.name} answered ${name} after ${ms} ms: ${JSON.stringify(body)}`)
    }
    this.#told()
  }

  /** Its own, or the next one that lives. */
  #node(): Node {
    const { length } = this.#nodes
    for (let i = 0; i < length; i++) {
      const node = this.#nodes[(this.#id + i) % length] as Node
      if (node.alive) return node
    }
    return this.#nodes[this.#id % length] as Node
  }
}

/** A second text in the same write: half of one would show. */
export function attributesOf(text: string): string {
  return JSON.stringify({ text })
}

/** What is the same whichever node answers. */
export function withoutUrls(body: Record<string, unknown>): Record<string, unknown> {
  const { url: _url, links: _links, ...rest } = body
  return rest
}
