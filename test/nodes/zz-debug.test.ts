import { expect, test } from 'vitest'
import { all_events } from '../support/hooked.ts'
import { auth_token, startNodes, type Node } from '../support/nodes.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'
import { eventually, lookInto, readiness, settled } from './verify.ts'

test('debug', async () => {
  await using nodes = await startNodes(2, { env: { PARLEY_LOG_LEVEL: 'warn' } })
  await using catcher = await catchWebhooks({ authToken: auth_token })
  const node = (i: number) => nodes.all[i] as Node
  await using look = lookInto(nodes.database)
  await eventually(async () => (await look.query("select distinct owner from leases where name like 'slot:%'")).length, 2)
  const filters = all_events.map((event) => ['Filters', event] as const)
  await node(0).call('POST', '/v1/Configuration/Webhooks', [['PostWebhookUrl', catcher.url()], ...filters])
  const burst = async () => { const at = performance.now(); await Promise.all(Array.from({ length: 60 }, () => node(0).call('POST', '/v1/Conversations'))); const wrote = performance.now() - at; await settled(nodes); return [Math.round(wrote), Math.round(performance.now() - at)] }
  console.log('before', await burst(), await burst(), await burst())
  node(1).network.freeze()
  await node(0).call('POST', '/v1/Conversations')
  await node(0).call('POST', '/v1/Conversations')
  await Promise.all(Array.from({ length: 10 }, () => node(0).call('POST', '/v1/Conversations')))
  await eventually(() => readiness(node(1)), 503)
  node(1).network.heal()
  await eventually(() => readiness(node(1)), 200)
  await settled(nodes)
  for (let i = 0; i < 6; i++) { console.log('after', await burst()); await new Promise((r) => setTimeout(r, 3000)) }
}, 120_000)
