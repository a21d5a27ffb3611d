import { isFailure } from '../../errors.ts'
import { messagesList, objectNamed, type SyncObject, typeOf } from '../../resources/sync-objects.ts'
import { type Connection, notification, type Session } from '../connection.ts'
import { type Reached, reach } from './access.ts'
import { type Changes, changesSince, eventsOf, type ItemChange, removalOf, type View } from './changes.ts'
import { onceEach } from './once-each.ts'
import { Pace } from './pace.ts'
import { messageType, Replays, replayOf } from './replays.ts'
import { Turns } from './turns.ts'

/** An object to which connections of this node are subscribed. */
interface Live {
  readonly object: SyncObject
  readonly service_sid: string
  readonly account_sid: string
  /** By connection: up to which event it has been sent everything. */
  readonly subscribers: Map<Connection, number>
  /** What has been sent to all subscribers. */
  position: number
  /** Connections that are about to subscribe. */
  pending: number
  /** Whether there may be something newer. */
  dirty: boolean
  /** When the first of what may be newer was committed, in epoch ms; null when it is not known. */
  since: number | null
  sending: boolean
  /** Until when nothing more is sent of it, by `performance.now()`. */
  restsUntil: number
}

/** Who subscribes. `view` reads each row once for all objects of a request; `fresh` does not. */
interface Asked {
  readonly view: View
  readonly fresh: View
  readonly connection: Connection
  readonly session: Session
  readonly correlation_id: unknown
  /** What the session may read, by name. */
  readonly reached: Map<string, Promise<Reached | null>>
  /** How often the connection had been checked when that began to be read. */
  readonly checks: number
}

/** A request to subscribe to one object. */
export interface Wanted {
  readonly name: string
  /** The last event that the client has; null when it says none. */
  readonly after: number | null
}

export interface SyncHubOptions {
  /** Reads the service of connections. Undefined when it is gone. */
  readonly view: (session: Pick<Session, 'account_sid' | 'service_sid'>) => Promise<View | undefined>
  readonly failed: (error: unknown) => void
  /** Called for each frame that several connections are sent. */
  readonly sent: (frames: number) => void
  readonly replayed: (events: number) => void
  /** Called for each change that was sent to all who follow its object, with the time since its commit. */
  readonly lagged: (seconds: number) => void
}

/** Requests to subscribe that are carried out at a time: each reads up to a thousand objects. */
const maxEstablishing = 4
const markedAtOnce = 100
/** What one takes, about, of a client with ten conversations on a busy machine. */
const turnMs = 5
/** Between two attempts to read what is new. */
const retryMs = 1000

/**
 * The subscriptions of the connections of this node. Live events and replays are the same: what is newer in an object than somebody
 * has, read from its rows. So a notice only says where to look, and one that is lost delays, but loses nothing.
 */
export class SyncHub {
  readonly #options: SyncHubOptions
  readonly #turns = new Turns(maxEstablishing)
  readonly #pace = new Pace()
  readonly #replays = new Replays()
  readonly #live = new Map<string, Live>()
  /** By connection: its objects, and whether it may read each without being a participant. */
  readonly #byConnection = new Map<Connection, Map<string, boolean>>()
  /** The last of the subscription requests of each connection: they are carried out in order. */
  readonly #tails = new WeakMap<Connection, Promise<void>>()
  /** How often it has been checked what a connection may read. */
  readonly #checks = new WeakMap<Connection, number>()

  constructor(options: SyncHubOptions) {
    this.#options = options
  }

  get subscriptions(): number {
    let sum = 0
    for (const { subscribers } of this.#live.values()) sum += subscribers.size
    return sum
  }

  /** Subscribes a connection: sends what it has missed, then a confirmation, then what is new. */
  establish(connection: Connection, session: Session, wanted: readonly Wanted[], correlationId: unknown): void {
    this.#inOrder(connection, () => this.#turns.run(() => this.#establish(connection, session, wanted, correlationId)))
  }

  /** For how long a subscription that is asked for now may have to wait, in ms. */
  get waitMs(): number {
    return this.#turns.waiting * turnMs
  }

  async #establish(connection: Connection, session: Session, wanted: readonly Wanted[], correlationId: unknown): Promise<void> {
    // It may be gone by the time that it is its turn.
    if (!this.#byConnection.has(connection)) return
    const objects = wanted.flatMap(({ name }) => objectNamed(name) ?? [])
    // Before any row is read: what is committed from now on marks them.
    const live = new Map(objects.map((object) => [object.name, this.#pin(object, session)]))
    const checks = this.#checksOf(connection)
    try {
      const fresh = await this.#options.view(session)
      const view = fresh && { ...fresh, read: onceEach(fresh.read) }
      if (!view) return
      const asked = { view, fresh, connection, session, correlation_id: correlationId, reached: new Map(), checks }
      const refusals = await Promise.all(wanted.map((one) => this.#subscribe(asked, live.get(one.name), one)))
      // Last: a client that is refused a conversation before it hears that it has left it does not announce that it has.
      for (const [i, message] of refusals.entries()) if (message !== null) this.#refuse(asked, wanted[i]?.name ?? '', message)
    } finally {
      for (const one of live.values()) this.#unpin(one)
    }
  }

  cancel(connection: Connection, names: readonly string[], correlationId: unknown): void {
    this.#inOrder(connection, async () => {
      for (const name of names) {
        this.#unsubscribe(connection, name)
        this.#tell(connection, 'subscription_canceled', correlationId, { object_sid: name })
      }
    })
  }

  /** Drops the subscriptions of a connection that is closed. */
  closed(connection: Connection): void {
    for (const name of [...(this.#byConnection.get(connection)?.keys() ?? [])]) this.#unsubscribe(connection, name)
    this.#byConnection.delete(connection)
  }

  /** Returns the connections that are subscribed to an object. */
  followers(name: string): Iterable<Connection> {
    return this.#live.get(name)?.subscribers.keys() ?? []
  }

  /** Says that there may be something new in an object, committed at this time (see `Listener`). */
  changed(name: string, at: number): void {
    const live = this.#live.get(name)
    if (!live) return
    live.since ??= at
    this.#markDirty(live)
  }

  /** The database has been emptied, or is another one. */
  emptied(): void {
    this.#replays.clear()
  }

  /** Notices of other nodes may have been lost. */
  async missed(): Promise<void> {
    for (const [i, live] of [...this.#live.values()].entries()) {
      this.#markDirty(live)
      // Others have their turn in between: there may be a hundred thousand.
      if (i % markedAtOnce === markedAtOnce - 1) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /**
   * Takes subscriptions from connections whose users may not read the objects any more. `within`: those of this conversation; else
   * those that a role allows.
   */
  async check(connections: Iterable<Connection>, within: string | undefined): Promise<void> {
    await Promise.all([...connections].map((connection) => this.#checkOne(connection, within)))
  }

  async #checkOne(connection: Connection, within: string | undefined): Promise<void> {
    const { session } = connection
    this.#checks.set(connection, this.#checksOf(connection) + 1)
    const doubtful = [...(this.#byConnection.get(connection) ?? [])].filter(([name, byRole]) =>
      within === undefined ? byRole : name.startsWith(`${within}.`),
    )
    if (!session || doubtful.length === 0) return
    // Until it is known, nothing is sent.
    const taken = doubtful.flatMap(([name]) => {
      const live = this.#live.get(name)
      const position = live?.subscribers.get(connection)
      if (!live || position === undefined) return []
      live.pending++
      this.#unsubscribe(connection, name)
      return [{ live, position }]
    })
    try {
      for (const { live, position } of taken) {
        const reached = await this.#reachChecked(connection, session, live.object)
        if (!reached || !this.#byConnection.has(connection)) continue
        this.#add(live, connection, position, reached.by === 'role')
        this.#markDirty(live)
      }
    } finally {
      for (const { live } of taken) this.#unpin(live)
    }
  }

  #inOrder(connection: Connection, run: () => Promise<void>): void {
    if (!this.#byConnection.has(connection)) this.#byConnection.set(connection, new Map())
    const tail = (this.#tails.get(connection) ?? Promise.resolve()).then(run).catch((error: unknown) => this.#failed(error))
    this.#tails.set(connection, tail)
  }

  #failed(error: unknown): void {
    if (!isFailure(error)) this.#options.failed(error)
  }

  #refuse({ connection, correlation_id }: Asked, name: string, message: string): void {
    const error = { status: 404, code: 54_300, message }
    this.#tell(connection, 'subscription_failed', correlation_id, { object_sid: name, error })
  }

  /** Subscribes to one object. Returns why that is refused; null when it is not. */
  async #subscribe(asked: Asked, live: Live | undefined, { name, after }: Wanted): Promise<string | null> {
    const { view, fresh, connection, correlation_id } = asked
    if (!live) return 'there is no such object'
    const { object } = live
    let reached = await this.#reach(asked, object)
    if (!reached) return 'there is no such object for this user'
    // A client without a position has read the object just now: it is sent what comes.
    const since = after ?? Number.MAX_SAFE_INTEGER
    let found = await this.#replays.since(view, object, reached.found, since)
    for (let { checks } = asked; ; ) {
      if (checks !== this.#checksOf(connection)) {
        checks = this.#checksOf(connection)
        reached = await this.#reachChecked(connection, asked.session, object)
        if (!reached) return 'there is no such object for this user'
      } else if (found && !found.interrupted && live.subscribers.size > 0 && found.position < live.position) {
        // What others have been sent meanwhile.
        const changes = await changesSince(fresh, object, since)
        found = changes && replayOf(object, changes)
      } else break
    }
    if (!this.#byConnection.has(connection)) return null
    if (!found) return 'the object does not exist any more'
    for (const frame of found.frames) connection.sendBytes(frame)
    this.#pace.count(found.changes)
    this.#options.sent(found.frames.length)
    this.#options.replayed(found.changes)
    if (!found.interrupted) this.#add(live, connection, found.position, reached.by === 'role')
    this.#tell(connection, 'subscription_established', correlation_id, {
      object_sid: name,
      object_type: typeOf(object),
      replay_status: found.interrupted ? 'interrupted' : 'completed',
      last_event_id: found.position,
    })
    if (live.dirty) this.#flush(live)
    return null
  }

  /** Reads the row of an object, again if there was a check meanwhile: it does not see who is about to subscribe. */
  async #reachChecked(connection: Connection, session: Session, object: SyncObject): Promise<Reached | null> {
    for (;;) {
      const checks = this.#checksOf(connection)
      const view = await this.#options.view(session)
      const reached = view ? await reach(view, session, object) : null
      if (!reached || checks === this.#checksOf(connection)) return reached
    }
  }

  #checksOf(connection: Connection): number {
    return this.#checks.get(connection) ?? 0
  }

  /** Whoever may read the messages of a conversation may read who is in it. */
  #reach({ view, session, reached }: Asked, object: SyncObject): Promise<Reached | null> {
    const key = object.part === 'roster' ? messagesList(object.sid) : object.name
    const known = reached.get(key) ?? reach(view, session, object)
    reached.set(key, known)
    return known
  }

  #pin(object: SyncObject, { service_sid, account_sid }: Session): Live {
    const { name } = object
    const live = this.#live.get(name) ?? {
      object,
      service_sid,
      account_sid,
      subscribers: new Map(),
      position: 0,
      pending: 0,
      dirty: false,
      since: null,
      sending: false,
      restsUntil: 0,
    }
    live.pending++
    this.#live.set(name, live)
    return live
  }

  #unpin(live: Live): void {
    live.pending--
    this.#dropUnused(live)
  }

  #add(live: Live, connection: Connection, position: number, byRole: boolean): void {
    // Those who have more than the others are sent less: see `#broadcast`.
    live.position = live.subscribers.size === 0 ? position : Math.min(live.position, position)
    live.subscribers.set(connection, position)
    this.#byConnection.get(connection)?.set(live.object.name, byRole)
  }

  #unsubscribe(connection: Connection, name: string): void {
    this.#byConnection.get(connection)?.delete(name)
    const live = this.#live.get(name)
    live?.subscribers.delete(connection)
    if (live) this.#dropUnused(live)
  }

  #dropUnused({ object: { name }, subscribers, pending }: Live): void {
    if (subscribers.size === 0 && pending === 0) this.#live.delete(name)
  }

  #markDirty(live: Live): void {
    live.dirty = true
    this.#flush(live)
  }

  #flush(live: Live): void {
    if (live.sending || live.subscribers.size === 0) return
    live.sending = true
    if (live.restsUntil > performance.now()) {
      return void this.#pace.wait(live.object, live.restsUntil, () => {
        live.sending = false
        live.restsUntil = 0
        this.#flush(live)
      })
    }
    this.#sendNew(live).then(
      () => {
        live.sending = false
        // Marked after the last look.
        if (live.dirty) this.#flush(live)
      },
      (error: unknown) => {
        live.sending = false
        this.#failed(error)
        // The rows could not be read, and the next change may be long in coming.
        live.dirty = true
        setTimeout(() => this.#flush(live), retryMs).unref()
      },
    )
  }

  async #sendNew(live: Live): Promise<void> {
    while (live.dirty && live.subscribers.size > 0) {
      const { since } = live
      live.dirty = false
      live.since = null
      const view = await this.#options.view(live)
      const found = view && (await changesSince(view, live.object, live.position))
      if (!view) return
      if (!found) return this.#remove(live, view.now)
      await this.#broadcast(view, live, found)
      // The clocks of two nodes may differ.
      if (since !== null && found.changes.length > 0) this.#options.lagged(Math.max(0, Date.now() - since) / 1000)
      if (found.interrupted) {
        live.dirty = true
        continue
      }
      live.restsUntil = this.#pace.restsUntil(live.object)
      if (live.restsUntil > performance.now()) return
    }
  }

  /** Sends what is newer than the position of an object. Who has subscribed since it was moved last, has some of it already. */
  async #broadcast(view: View, live: Live, { changes, position }: Changes): Promise<void> {
    const base = live.position
    const current: Connection[] = []
    const ahead: Connection[] = []
    for (const [connection, has] of live.subscribers) {
      if (has >= position) continue
      if (has > base) ahead.push(connection)
      else {
        current.push(connection)
        live.subscribers.set(connection, position)
      }
    }
    live.position = position
    this.#send(current, live.object, changes)
    for (const connection of ahead) await this.#catchUp(view, live, connection)
  }

  async #catchUp(view: View, live: Live, connection: Connection): Promise<void> {
    const has = live.subscribers.get(connection)
    const found = has === undefined ? undefined : await changesSince(view, live.object, has)
    if (!found || live.subscribers.get(connection) !== has) return
    live.subscribers.set(connection, found.position)
    this.#send([connection], live.object, found.changes)
  }

  #remove(live: Live, now: number): void {
    const bytes = notification(messageType, removalOf(live.object, now))
    for (const connection of [...live.subscribers.keys()]) {
      connection.sendBytes(bytes)
      this.#unsubscribe(connection, live.object.name)
    }
  }

  /** The same bytes for all of them: a message is rendered once, whoever gets it. */
  #send(connections: readonly Connection[], object: SyncObject, changes: readonly ItemChange[]): void {
    if (connections.length === 0) return
    for (const frame of eventsOf(object, changes)) {
      const bytes = notification(messageType, frame)
      for (const connection of connections) connection.sendBytes(bytes)
      this.#pace.count(connections.length * frame.events.length)
      this.#options.sent(connections.length)
    }
  }

  #tell(connection: Connection, event_type: string, correlationId: unknown, event: object): void {
    connection.sendBytes(notification(messageType, { event_type, correlation_id: correlationId, event }))
  }
}
