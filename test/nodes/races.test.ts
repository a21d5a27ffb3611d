import { afterAll, beforeAll, expect, test } from 'vitest'
import { all_events } from '../support/hooked.ts'
import { type Node, type NodeAnswer, type Nodes, startNodes } from '../support/nodes.ts'
import { postgresOnly } from '../support/only.ts'
import { type Caught, catchWebhooks, type WebhookCatcher } from '../support/webhook-catcher.ts'
import { eventually, listed, lookInto, settled } from './verify.ts'

/** How often each race is run; more for a longer run by hand. */
const rounds = 5 * Number(process.env.PARLEY_FAULT_ROUNDS ?? 2)

postgresOnly('nodes that race for one thing', () => {
  let nodes: Nodes
  let catcher: WebhookCatcher
  let count = 0

  beforeAll(async () => {
    nodes = await startNodes(3)
    catcher = await catchWebhooks()
    const filters = all_events.map((event) => ['Filters', event] as const)
    await made(0, '/v1/Configuration/Webhooks', [['PostWebhookUrl', catcher.url()], ...filters], 200)
  })
  afterAll(async () => {
    await catcher?.close()
    await nodes?.[Symbol.asyncDispose]()
  })

  const node = (i: number) => nodes.all[i % nodes.all.length] as Node
  const another = (what: string) => `${what} ${++count}`
  const number = () => `+1777${String(++count).padStart(7, '0')}`

  /** A request that has to succeed. */
  async function made(at: number, path: string, form: Parameters<Node['call']>[2] = {}, status = 201) {
    const answer = await node(at).call('POST', path, form)
    expect(answer.status, JSON.stringify(answer.body)).toBe(status)
    return answer.body
  }

  async function newConversation(at = 0, root = '/v1'): Promise<string> {
    return `${root}/Conversations/${(await made(at, `${root}/Conversations`)).sid}`
  }

  /** All at once, in turn at each node. */
  function race<T>(runners: number, run: (node: Node, i: number) => Promise<T>): Promise<T[]> {
    return Promise.all(Array.from({ length: runners }, (_, i) => run(node(i), i)))
  }

  async function eachRound(run: (round: number) => Promise<void>): Promise<void> {
    for (let round = 0; round < rounds; round++) await run(round)
  }

  /** What was told about a conversation, in order of arrival. */
  async function toldOf(path: string): Promise<Caught[]> {
    await settled(nodes)
    const sid = path.slice(path.lastIndexOf('/') + 1)
    return catcher.requests.filter(({ params }) => params.ConversationSid === sid)
  }

  test('one unique name: one has it, the others are told so', async () => {
    await eachRound(async () => {
      const UniqueName = another('name')
      const answers = await race(9, (at) => at.call('POST', '/v1/Conversations', { UniqueName }))
      expect(tally(answers)).toEqual({ 201: 1, '409/50353': 8 })
      const winner = answers.find(({ status }) => status === 201)?.body.sid
      const found = await race(3, (at) => at.call('GET', `/v1/Conversations/${encodeURIComponent(UniqueName)}`))
      expect(found.map(({ body }) => body.sid)).toEqual([winner, winner, winner])
    })
  })

  test('one pair of addresses, each into a conversation of its own: it is in one of them', async () => {
    await eachRound(async (round) => {
      const paths = await race(6, (_at, i) => newConversation(i + round))
      const pair = { 'MessagingBinding.Address': number(), 'MessagingBinding.ProxyAddress': number() }
      const answers = await race(6, (at, i) => at.call('POST', `${paths[i]}/Participants`, pair))
      expect(tally(answers)).toEqual({ 201: 1, '409/50416': 5 })
      const members = await Promise.all(paths.map((path) => listed(node(round), `${path}/Participants`, 'participants')))
      expect(members.flat()).toHaveLength(1)
    })
  })

  test('one message index: each is taken once, none is left out, and they are told in that order', async () => {
    const path = await newConversation()
    const each = 4 * rounds
    const said = await race(9, async (at, i) => {
      const answers: NodeAnswer[] = []
      for (let n = 0; n < each; n++) answers.push(await at.call('POST', `${path}/Messages`, { Author: `${i}`, Body: `${n}` }))
      return answers
    })
    expect(tally(said.flat())).toEqual({ 201: 9 * each })
    const indexes = said.flat().map(({ body }) => body.index as number)
    expect(indexes.sort((a, b) => a - b)).toEqual(Array.from({ length: 9 * each }, (_, i) => i))
    // Everybody's own messages are in the order in which they were sent.
    const stored = await listed(node(1), `${path}/Messages`, 'messages')
    for (let i = 0; i < 9; i++) {
      const own = stored.filter(({ author }) => author === `${i}`).map(({ body }) => body)
      expect(own).toEqual(Array.from({ length: each }, (_, n) => `${n}`))
    }
    const told = (await toldOf(path)).filter(({ params }) => params.EventType === 'onMessageAdded')
    expect(told.map(({ params }) => Number(params.Index))).toEqual(stored.map((_, i) => i))
    expect(told.map(({ params }) => params.MessageSid)).toEqual(stored.map(({ sid }) => sid))
  })

  test('one identity in one conversation: it joins once and is one user', async () => {
    await eachRound(async (round) => {
      const path = await newConversation(round)
      const Identity = another('joins')
      const answers = await race(6, (at) => at.call('POST', `${path}/Participants`, { Identity }))
      expect(tally(answers)).toEqual({ 201: 1, '409/50433': 5 })
      expect(await listed(node(round), `${path}/Participants`, 'participants')).toHaveLength(1)
    })
    expectDistinct(await listed(node(0), '/v1/Users', 'users'))
  })

  test('one identity in several conversations at once: it joins them all and is one user', async () => {
    await eachRound(async (round) => {
      const paths = await race(6, (_at, i) => newConversation(i))
      const Identity = another('everywhere')
      const answers = await Promise.all([
        race(6, (at, i) => at.call('POST', `${paths[i]}/Participants`, { Identity })),
        // Somebody else makes the user meanwhile; either may be first.
        node(round).call('POST', '/v1/Users', { Identity }),
      ])
      expect(tally(answers[0])).toEqual({ 201: 6 })
      expect([201, 409]).toContain(answers[1].status)
    })
    expectDistinct(await listed(node(0), '/v1/Users', 'users'))
  })

  test('changes of one conversation: each builds on the last, and the last is what every node shows and was told last', async () => {
    await eachRound(async (round) => {
      const path = await newConversation(round)
      const answers = await race(12, (at, i) =>
        at.call('POST', path, i % 2 ? { Attributes: `{"by":${i}}` } : { FriendlyName: `name ${i}` }),
      )
      expect(tally(answers)).toEqual({ 200: 12 })
      const shown = (await race(3, (at) => at.call('GET', path))).map(({ body }) => [body.attributes, body.friendly_name])
      const updates = (await toldOf(path)).filter(({ params }) => params.EventType === 'onConversationUpdated')
      expect(updates).toHaveLength(12)
      // No change took back what another had changed.
      const last = (name: string) => updates.at(-1)?.params[name]
      expect(shown).toEqual([0, 1, 2].map(() => [last('Attributes'), last('FriendlyName')]))
      expectSteps(updates.map(({ params }) => [params.Attributes, params.FriendlyName]))
    })
  })

  test('closing a conversation to which messages are added: nothing is accepted any more once it is closed', async () => {
    await eachRound(async (round) => {
      const path = await newConversation(round)
      const [closed, ...said] = await Promise.all([
        node(round).call('POST', path, { State: 'closed' }),
        ...Array.from({ length: 11 }, (_, i) => node(i).call('POST', `${path}/Messages`, { Body: `${i}` })),
      ])
      expect(closed.status).toBe(200)
      const accepted = said.filter(({ status }) => status === 201)
      expect(tally(said.filter(({ status }) => status !== 201))).toEqual(
        accepted.length === 11 ? {} : { '400/50377': 11 - accepted.length },
      )
      const stored = await listed(node(round + 1), `${path}/Messages`, 'messages')
      expect(stored.map(({ index }) => index)).toEqual(accepted.map((_, i) => i))
      expect((await node(round + 1).call('GET', path)).body.state).toBe('closed')
      const told = (await toldOf(path)).map(({ params }) => params.EventType)
      expect(told.lastIndexOf('onMessageAdded')).toBeLessThan(told.indexOf('onConversationStateUpdated'))
      expect(told.filter((type) => type === 'onMessageAdded')).toHaveLength(accepted.length)
    })
  })

  test('two messages of one person from outside: one opens the conversation, the other finds it', async () => {
    await eachRound(async () => {
      const [from, to] = [number(), number()]
      await made(0, '/v1/Configuration/Addresses', { Type: 'sms', Address: to, 'AutoCreation.Enabled': 'true' })
      const answers = await race(3, (at, i) => at.admin('POST', '/inbound', { from, to, body: `${i}` }))
      expect(tally(answers)).toEqual({ 201: 3 })
      expect(answers.filter(({ body }) => body.created)).toHaveLength(1)
      const sids = new Set(answers.map(({ body }) => body.conversation_sid as string))
      expect(sids.size).toBe(1)
      const stored = await listed(node(0), `/v1/Conversations/${[...sids][0]}/Messages`, 'messages')
      expect(stored.map(({ index }) => index)).toEqual([0, 1, 2])
      expect(stored.map(({ body }) => body).sort()).toEqual(['0', '1', '2'])
    })
  })

  test('deleting a service in which others make things: in the end nothing of it is left', async () => {
    const services: string[] = []
    await eachRound(async (round) => {
      const { sid } = await made(round, '/v1/Services', { FriendlyName: another('service') })
      services.push(sid)
      const path = await newConversation(round, `/v1/Services/${sid}`)
      const [removed, ...answers] = await Promise.all([
        node(round).call('DELETE', `/v1/Services/${sid}`),
        ...Array.from({ length: 12 }, (_, i) => makeSomething(node(i), sid, path, i)),
      ])
      expect(removed.status).toBe(204)
      const names = Object.keys(tally(answers))
      expect(names.filter((name) => name !== '201' && name !== '404/20404')).toEqual([])
    })
    await using look = lookInto(nodes.database)
    await eventually(async () => (await look.query('select sid from removals')).length, 0)
    const tables = (await look.query(
      "select table_name from information_schema.columns where column_name = 'service_sid' and table_schema = current_schema()",
    )) as { table_name: string }[]
    expect(tables.length).toBeGreaterThan(5)
    const list = services.map((sid) => `'${sid}'`)
    for (const { table_name } of tables) {
      // What was told stays in the log for as long as the log does.
      if (table_name === 'deliveries') continue
      expect(await look.query(`select * from ${table_name} where service_sid in (${list})`), table_name).toEqual([])
    }
  })

  /** A thing of each kind that may lie in a service. */
  function makeSomething(at: Node, service: string, conversation: string, i: number): Promise<NodeAnswer> {
    const kinds = [
      () => at.call('POST', `/v1/Services/${service}/Conversations`, { FriendlyName: another('late') }),
      () => at.call('POST', `${conversation}/Messages`, { Body: another('late') }),
      () => at.call('POST', `${conversation}/Participants`, { Identity: another('late') }),
      () => at.call('POST', `/v1/Services/${service}/Users`, { Identity: another('late') }),
    ]
    return (kinds[Math.floor(i / 3) % kinds.length] as () => Promise<NodeAnswer>)()
  }
})

/** How often each status and code came. */
function tally(answers: readonly NodeAnswer[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { status, body } of answers) {
    const name = status > 0 && status < 400 ? String(status) : `${status}/${body.code ?? JSON.stringify(body)}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

function expectDistinct(users: readonly Record<string, unknown>[]): void {
  const identities = users.map(({ identity }) => identity)
  expect(identities).toEqual([...new Set(identities)])
}

/** Each differs from the one before in one of the two: what the other one had set is still there. */
function expectSteps(states: readonly (readonly unknown[])[]): void {
  for (const [i, [attributes, name]] of states.entries()) {
    const before = states[i - 1]
    if (before) expect([attributes === before[0], name === before[1]].sort()).toEqual([false, true])
  }
}
