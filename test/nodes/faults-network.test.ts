import { test, vi } from 'vitest'
import { postgresOnly } from '../support/only.ts'
import { eachRound, scene } from './scene.ts'
import { eventually, lookInto, readiness, recovered } from './verify.ts'

// They mostly wait for leases to run out, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 120_000, maxConcurrency: 3 })

/** No answered write is lost, no event of it, no timer is missed or fires twice, each conversation's order is kept. */
postgresOnly('a network that breaks, under load: nothing is lost, doubled or out of order', () => {
  test.concurrent('when the network between a node and the database is cut', async () => {
    await using on = await scene({ what: 'network cut' })
    await eachRound(async () => {
      await on.load.answered(100 + on.random(200))
      const node = on.any()
      on.fault()
      node.network.cut()
      await eventually(() => readiness(node), 503)
      await on.load.asked(20 + on.random(50))
      node.network.heal()
      await recovered(on.nodes)
    })
    await on.load.answered(100)
    await on.finish({ once: true })
  })

  test.concurrent('when the network swallows everything for longer than a lease', async () => {
    await using on = await scene({ what: 'network frozen' })
    await on.load.answered(100 + on.random(200))
    const node = on.any()
    on.fault()
    node.network.freeze()
    await eventually(() => readiness(node), 503)
    // The other one has taken everything over.
    await using look = lookInto(on.nodes.database)
    const owners = async () => (await look.query("select distinct owner from leases where name like 'slot:%'")).length
    await eventually(owners, 1)
    node.network.heal()
    await recovered(on.nodes)
    await on.load.answered(100)
    await on.finish({ once: false })
  })

  test.concurrent.each(['before', 'after'] as const)('when connections break %s a commit arrives', async (when) => {
    await using on = await scene({ what: `connection lost ${when} commit` })
    await eachRound(async () => {
      for (let i = 0; i < 10; i++) {
        await on.load.answered(10 + on.random(40))
        await on.any().network.cutAt('commit', when)
        on.fault()
      }
    })
    await on.load.answered(50)
    await on.finish({ once: true })
  })
})
