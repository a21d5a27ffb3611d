import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { clientsUnderLoad, type Ground } from '../support/client-faults.ts'
import { account_sid, type Node, type Nodes, startNodes } from '../support/nodes.ts'
import { postgresOnly } from '../support/only.ts'

/** More for a longer run by hand. */
const rounds = Number(process.env.PARLEY_FAULT_ROUNDS ?? 2)

/** Clients connect to any node that they take to be up; whoever tests asks one that is. */
function groundOf({ all }: Nodes): Ground {
  const living = () => all.filter(({ alive }) => alive)
  const one = () => living()[randomInt(living().length)] as Node
  return {
    url: () => one().url,
    account_sid,
    call: (method, path, form) => one().call(method, path, form),
    admin: (method, path, body) => one().admin(method, path, body),
  }
}

postgresOnly('200 clients of two nodes', () => {
  test('miss no message that was answered when nodes are killed under load, and hear of none twice', {
    timeout: 240_000,
  }, async () => {
    await using nodes = await startNodes(2)
    const load = await clientsUnderLoad(groundOf(nodes))
    for (let round = 0; round < rounds; round++) {
      for (const node of nodes.all) {
        await load.answered(100 + randomInt(100))
        await node.kill9()
        // Those of the node that is gone go on with the other one.
        await load.answered(100)
        await node.restart()
      }
    }
    await load.answered(100)
    await load.finish()
    // Each node has been killed: wherever they were, they had to go elsewhere.
    expect(Math.min(...load.clients.map(({ connects }) => connects))).toBeGreaterThan(1)
  })
})
