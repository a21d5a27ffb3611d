import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface TcpProxy extends AsyncDisposable {
  /** Address of the same database by way of the proxy. */
  readonly url: string
  /** Destroys all connections; new ones are ended as soon as they are made. */
  cut(): void
  /** Resolves when the next connection is refused. */
  refused(): Promise<void>
  /** Forgets the connections that there are, as a load balancer does: each is destroyed when the near side next sends on it. */
  forget(): void
  /** Swallows what either side sends, and lets nobody know: a network that loses everything. */
  freeze(): void
  /** New connections work again. One that has lost something stays mute: nobody repeats it. */
  heal(): void
  /**
   * Cuts the connection on which the near side next sends this text: `before` it arrives, or `after` it has, so that only the
   * answer is lost. Resolves when that has happened.
   */
  cutAt(text: string, when: 'before' | 'after'): Promise<void>
  /** Cuts a connection once the far side has sent so many bytes on it, and the next ones. `times`: so many connections. */
  cutAfter(bytes: number, times: number): void
  /** Replaces this text where the near side next sends it, by one of the same length. */
  replace(text: string, by: string): void
  /** Freezes everything when the near side next sends this text, which does not arrive. Resolves then. */
  freezeAt(text: string): Promise<void>
}

/** One connection through the proxy. */
interface Link {
  readonly near: Socket
  /** None where it was made while nothing got through. */
  readonly far: Socket | null
  /** It has lost something. */
  mute: boolean
  /** Nobody knows where to send what comes on it. */
  forgotten: boolean
  /** The answer to what was last sent is lost. */
  doomed: boolean
  /** Bytes that the far side has sent. */
  sent: number
}

interface Trap {
  readonly text: string
  readonly act: 'cut before' | 'cut after' | 'freeze'
  readonly sprung: () => void
}

/** Stands between a server and the database of this url. */
export async function startProxy(database: string): Promise<TcpProxy> {
  const far_side = new URL(database)
  const links = new Set<Link>()
  const traps = new Set<Trap>()
  let state: 'open' | 'cut' | 'frozen' = 'open'
  let cuts: { readonly bytes: number; readonly times: number } | null = null
  let change: { readonly text: string; readonly by: string } | null = null
  const replaced = (chunk: Buffer) => {
    const at = change ? chunk.indexOf(change.text) : -1
    if (!change || at < 0) return chunk
    const changed = Buffer.from(chunk)
    changed.write(change.by, at)
    change = null
    return changed
  }

  const end = (link: Link) => {
    links.delete(link)
    link.near.destroy()
    link.far?.destroy()
  }
  const pass = (link: Link, from: Socket, to: Socket | null) => {
    // A reset is as good an end as any other.
    from.on('error', () => {})
    // What nobody hears of stays open on the other side, until the network is back.
    from.on('close', () => {
      if (state !== 'frozen') end(link)
    })
    from.on('data', (chunk: Buffer) => {
      if (link.forgotten && from === link.near) return end(link)
      if (state === 'frozen') link.mute = true
      if (link.mute || !to) return
      if (from === link.near && springs(chunk, link)) return
      if (from === link.far && link.doomed) return end(link)
      if (from === link.far) {
        link.sent += chunk.length
        if (cuts && link.sent > cuts.bytes) {
          cuts = cuts.times === 1 ? null : { ...cuts, times: cuts.times - 1 }
          return end(link)
        }
      }
      if (to.write(from === link.near ? replaced(chunk) : chunk)) return
      from.pause()
      to.once('drain', () => from.resume())
    })
  }
  /** True when what was sent must not arrive. */
  const springs = (chunk: Buffer, link: Link) => {
    const trap = [...traps].find(({ text }) => chunk.includes(text))
    if (!trap) return false
    traps.delete(trap)
    if (trap.act === 'cut before') end(link)
    if (trap.act === 'cut after') link.doomed = true
    if (trap.act === 'freeze') {
      state = 'frozen'
      link.mute = true
    }
    trap.sprung()
    return trap.act !== 'cut after'
  }
  const trapped = (text: string, act: Trap['act']) => new Promise<void>((sprung) => void traps.add({ text, act, sprung }))

  const refusals: (() => void)[] = []
  const server = createServer((near) => {
    if (state === 'cut') {
      near.resetAndDestroy()
      for (const hear of refusals.splice(0)) hear()
      return
    }
    const far = state === 'open' ? connect(Number(far_side.port), far_side.hostname) : null
    const link: Link = { near, far, mute: far === null, forgotten: false, doomed: false, sent: 0 }
    links.add(link)
    for (const socket of [near, far]) socket?.setNoDelay()
    pass(link, near, far)
    if (far) pass(link, far, near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: Object.assign(new URL(database), { host: `127.0.0.1:${port}` }).href,
    cut() {
      state = 'cut'
      for (const link of [...links]) end(link)
    },
    forget() {
      for (const link of links) link.forgotten = true
    },
    refused: () => new Promise<void>((hear) => void refusals.push(hear)),
    freeze() {
      state = 'frozen'
    },
    heal() {
      state = 'open'
      for (const link of [...links]) if (link.near.destroyed || link.far?.destroyed) end(link)
    },
    cutAfter(bytes, times) {
      cuts = { bytes, times }
    },
    replace(text, by) {
      change = { text, by }
    },
    cutAt: (text, when) => trapped(text, `cut ${when}`),
    freezeAt: (text) => trapped(text, 'freeze'),
    async [Symbol.asyncDispose]() {
      for (const link of [...links]) end(link)
      await once(server.close(), 'close')
    },
  }
}
