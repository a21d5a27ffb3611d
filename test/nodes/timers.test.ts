import { afterEach, beforeEach, expect, test } from 'vitest'
import { all_events } from '../support/hooked.ts'
import { auth_token, type Node, type Nodes, startNodes } from '../support/nodes.ts'
import { postgresOnly } from '../support/only.ts'
import { catchWebhooks, type WebhookCatcher } from '../support/webhook-catcher.ts'
import { eventually, listed, lookInto, moveClock, readiness, settled } from './verify.ts'

const count = 150
const timers = { 'Timers.Inactive': 'PT1M', 'Timers.Closed': 'PT10M' }

postgresOnly('timers of conversations made by several nodes', () => {
  let nodes: Nodes
  let catcher: WebhookCatcher

  beforeEach(async () => {
    nodes = await startNodes(3)
    catcher = await catchWebhooks({ authToken: auth_token })
    const filters = all_events.map((event) => ['Filters', event] as const)
    const { status } = await node(0).call('POST', '/v1/Configuration/Webhooks', [['PostWebhookUrl', catcher.url()], ...filters])
    expect(status).toBe(200)
  })
  afterEach(async () => {
    await catcher?.close()
    await nodes?.[Symbol.asyncDispose]()
  })

  const node = (i: number) => nodes.all[i % nodes.all.length] as Node

  async function makeTimed(): Promise<string[]> {
    const made = await Promise.all(Array.from({ length: count }, (_, i) => node(i).call('POST', '/v1/Conversations', timers)))
    expect(made.filter(({ status }) => status !== 201)).toEqual([])
    return made.map(({ body }) => body.sid)
  }

  const isChange = ({ params }: { params: Record<string, string> }) => params.EventType === 'onConversationStateUpdated'

  /** The states that each conversation went through, an event each, told twice or not. */
  function changesOf(sids: readonly string[]): string[][] {
    const changes = new Map(
      catcher.requests.filter(isChange).map((caught) => [caught.headers['i-twilio-idempotency-token'], caught.params]),
    )
    return sids.map((sid) =>
      [...changes.values()].flatMap(({ ConversationSid, StateTo = '' }) => (ConversationSid === sid ? [StateTo] : [])),
    )
  }

  /** Whatever the first move came to. */
  async function expectAllClosed(sids: readonly string[], living: readonly Node[]): Promise<void> {
    const [by, ...others] = living as [Node, ...Node[]]
    await moveClock(by, others, 'PT1H')
    const shown = await Promise.all(living.map((one) => listed(one, '/v1/Conversations', 'conversations')))
    for (const rows of shown) expect(new Set(rows.map(({ state }) => state))).toEqual(new Set(['closed']))
    await settled(nodes)
    expect(changesOf(sids).filter((states) => states.join() !== 'inactive,closed' && states.join() !== 'closed')).toEqual([])
  }

  test('fire once each, whichever node moves the clock, and all nodes show the new time at once', async () => {
    const sids = await makeTimed()
    await moveClock(node(1), [node(0), node(2)], 'PT5M')
    const inactive = await Promise.all(nodes.all.map((one) => listed(one, '/v1/Conversations', 'conversations')))
    for (const rows of inactive) expect(new Set(rows.map(({ state }) => state))).toEqual(new Set(['inactive']))
    await moveClock(node(2), [node(0), node(1)], 'PT5M')
    await settled(nodes)
    expect(changesOf(sids)).toEqual(sids.map(() => ['inactive', 'closed']))
    expect(catcher.requests.filter(isChange)).toHaveLength(2 * count)
  })

  test('fire once each when several nodes move the clock at the same time', async () => {
    const sids = await makeTimed()
    const moved = await Promise.all(nodes.all.map((one) => one.admin('POST', '/clock', { advance: 'PT20M' })))
    expect(moved.map(({ status }) => status)).toEqual([200, 200, 200])
    await expectAllClosed(sids, nodes.all)
    expect(catcher.requests.filter(isChange).length).toBe(changesOf(sids).flat().length)
  })

  test('fire once each although the node that is at it is killed', async () => {
    const sids = await makeTimed()
    const moving = node(0).admin('POST', '/clock', { advance: 'PT20M' })
    await catcher.next(isChange)
    await node(0).kill9()
    await moving
    await expectAllClosed(sids, [node(1), node(2)])
  })

  test.each(['before', 'after'] as const)('fire once each although the connection breaks %s the commit', async (when) => {
    const sids = await makeTimed()
    const broken = node(0).network.cutAt('commit', when)
    const { status } = await node(0).admin('POST', '/clock', { advance: 'PT20M' })
    await broken
    expect([200, 503]).toContain(status)
    await expectAllClosed(sids, nodes.all)
  })

  test('fire once each although a node that is cut off still believes in them', async () => {
    const sids = await makeTimed()
    node(0).network.freeze()
    await eventually(() => readiness(node(0)), 503)
    await moveClock(node(1), [node(2)], 'PT5M')
    node(0).network.heal()
    await eventually(() => readiness(node(0)), 200)
    await expectAllClosed(sids, nodes.all)
  })

  test('fire once each, and are told, although the others do not hear that the clock was moved', async () => {
    await using look = lookInto(nodes.database)
    const owners = async () =>
      (await look.query("select distinct owner from leases where name like 'slot:%' and until > 0")).length
    await eventually(owners, 3)
    const sids = await makeTimed()
    const lost = node(0).network.cutAt('"topic":"clock"', 'before')
    // Nobody asks the others anything: their part of the deliveries is due by the new time.
    expect((await node(0).admin('POST', '/clock', { advance: 'PT5M' })).status).toBe(200)
    await lost
    await settled(nodes)
    expect(changesOf(sids)).toEqual(sids.map(() => ['inactive']))
    await expectAllClosed(sids, nodes.all)
  })
})
