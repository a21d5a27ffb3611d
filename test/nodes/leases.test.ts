import { expect, onTestFinished, test } from 'vitest'
import { packageVersion } from '../../src/package.ts'
import { all_events, gate } from '../support/hooked.ts'
import { account_sid, adminToken, auth_token, type Node, type Nodes, startNodes } from '../support/nodes.ts'
import { postgresOnly } from '../support/only.ts'
import { connectTo, head } from '../support/sockets.ts'
import { catchWebhooks, type WebhookCatcher } from '../support/webhook-catcher.ts'
import { eventually, lookInto, settled } from './verify.ts'

/** How many slots each node has, the most first; what nobody has is left out. */
async function shares({ database }: Nodes): Promise<number[]> {
  await using look = lookInto(database)
  const owned = `select count(*) as slots from leases where name like 'slot:%' and until > extract(epoch from now()) * 1000
    group by owner order by 1 desc`
  return ((await look.query(owned)) as { slots: number }[]).map(({ slots }) => slots)
}

/** Who has any slot, whether or not the lease has run out. */
async function owners({ database }: Nodes): Promise<unknown[]> {
  await using look = lookInto(database)
  return look.query("select distinct owner from leases where name like 'slot:%' and owner <> ''")
}

/** How much longer the slots are somebody's, if nobody renews them. */
async function longestLease({ database }: Nodes): Promise<number> {
  await using look = lookInto(database)
  const left = `select coalesce(max(until) - extract(epoch from now()) * 1000, 0) as left_ms from leases where name like 'slot:%'`
  return Number(((await look.query(left)) as { left_ms: unknown }[])[0]?.left_ms)
}

async function tellCatcher(node: Node, catcher: WebhookCatcher): Promise<void> {
  const filters = all_events.map((event) => ['Filters', event] as const)
  const { status } = await node.call('POST', '/v1/Configuration/Webhooks', [['PostWebhookUrl', catcher.url()], ...filters])
  expect(status).toBe(200)
}

/** Enough that every slot has some. */
async function makeMany(node: Node, count = 150): Promise<void> {
  const made = await Promise.all(Array.from({ length: count }, () => node.call('POST', '/v1/Conversations')))
  expect(made.filter(({ status }) => status !== 201)).toEqual([])
}

/** Of webhooks sent by this node since its start. */
async function sentBy({ url }: Node): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return [...text.matchAll(/^parley_webhook_attempts_total\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0)
}

postgresOnly('deliveries are shared out between the nodes', () => {
  test('two have half of the slots each, and both deliver what one of them has written', async () => {
    await using nodes = await startNodes(2)
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const [first, second] = nodes.all as [Node, Node]
    await eventually(() => shares(nodes), [8, 8])
    const { status, body } = await first.admin('GET', '/nodes')
    expect([status, body.slots, body.free_slots]).toEqual([200, 16, 0])
    const listed = body.nodes as { version: string; this_node: boolean; slots: number[] }[]
    expect(listed.map(({ version, slots }) => [version, slots.length])).toEqual([
      [packageVersion(), 8],
      [packageVersion(), 8],
    ])
    expect(listed.filter(({ this_node }) => this_node)).toHaveLength(1)
    await tellCatcher(first, catcher)
    await makeMany(first)
    await settled(nodes)
    expect(catcher.requests).toHaveLength(150)
    const sent = await Promise.all([sentBy(first), sentBy(second)])
    expect(sent[0] + sent[1]).toBe(150)
    expect(Math.min(...sent)).toBeGreaterThan(0)
  })

  test('a third gets a share of those that are there', async () => {
    await using nodes = await startNodes(3)
    await eventually(() => shares(nodes), [6, 6, 4])
  })

  test('the limits of an account are divided between those that are alive', async () => {
    await using nodes = await startNodes(2, { env: { PARLEY_MAX_CONCURRENT_REQUESTS: '4' } })
    const [first, second] = nodes.all as [Node, Node]
    await eventually(() => shares(nodes), [8, 8])
    const status = async (node: Node) => (await node.call('GET', '/v1/Services')).status
    for (let i = 0; i < 2; i++) {
      const { socket } = connectTo(first.url)
      onTestFinished(() => void socket.destroy())
      const authorization = `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`
      socket.write(`${head('POST', '/v1/Conversations', { Authorization: authorization, 'Content-Length': 100 })}half`)
    }
    const acting = { authorization: `Bearer ${adminToken}`, 'x-parley-account': account_sid }
    const look = async () => (await fetch(`${first.url}/v1/Services`, { headers: acting })).headers
    // The operator's own request is not counted.
    await eventually(async () => (await look()).get('twilio-concurrent-requests'), '3')
    expect(await status(first)).toBe(429)
    expect(await status(second)).toBe(200)
    await second.stop()
    await eventually(() => status(first), 200)
  })

  test('a node that stops hands its slots over at once, with what is still to be told', async () => {
    await using nodes = await startNodes(2)
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const [leaving, staying] = nodes.all as [Node, Node]
    await eventually(() => shares(nodes), [8, 8])
    await tellCatcher(staying, catcher)
    await makeMany(staying)
    const left = (await owners(nodes)).length
    const ended = await leaving.stop()
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    // It waits for no lease to run out: nothing has been the leaving node's since before it ended.
    expect([left, (await owners(nodes)).length]).toEqual([2, 1])
    await eventually(() => shares(nodes), [16])
    await settled(nodes)
    expect(catcher.requests).toHaveLength(150)
  })

  test('a node that is killed is succeeded when its leases have run out', async () => {
    await using nodes = await startNodes(2)
    await using catcher = await catchWebhooks({ authToken: auth_token })
    using held = gate()
    catcher.reply(() => ({ delayUntil: held.opened }))
    const [dying, staying] = nodes.all as [Node, Node]
    await eventually(() => shares(nodes), [8, 8])
    await tellCatcher(staying, catcher)
    await makeMany(staying)
    await catcher.next()
    await dying.kill9()
    held.open()
    // By the clock of the database: what nobody renews is free within ten seconds.
    expect(await longestLease(nodes)).toBeLessThanOrEqual(10_000)
    await eventually(() => shares(nodes), [16])
    await settled(nodes)
    const tokens = catcher.requests.map(({ headers }) => headers['i-twilio-idempotency-token'])
    expect(new Set(tokens).size).toBe(150)
  })
})
