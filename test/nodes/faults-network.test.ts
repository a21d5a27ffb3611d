import { test, vi } from 'vitest'
import { postgresOnly } from '../support/only.ts'
import { eachRound, scene, within_lease_ms } from './scene.ts'
import { eventually, lookInto, readiness, recovered } from './verify.ts'

vi.setConfig({ maxConcurrency: 3 })

/** No answered write is lost, no event of it, no timer is missed or fires twice, each conversation's order is kept. */
postgresOnly('a network that breaks, under load: nothing is lost, doubled or out of order', () => {
  test.concurrent('when the network between a node and the database is cut', async () => {
    await using on = await scene({ what: 'network cut' })
    let longest_ms = 0
    await eachRound(async () => {
      await on.load.answered(100 + on.random(200))
      const node = on.any()
      on.fault()
      node.network.cut()
      const cut_at = performance.now()
      await eventually(() => readiness(node), 503)
      await on.load.asked(20 + on.random(50))
      node.network.heal()
      longest_ms = Math.max(longest_ms, performance.now() - cut_at)
      await recovered(on.nodes)
    })
    await on.load.answered(100)
    await on.finish({ once: longest_ms < within_lease_ms })
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

  test.concurrent('when the network swallows everything from a commit on: the rows it holds become free', async () => {
    await using on = await scene({ what: 'network frozen in a transaction' })
    await eachRound(async () => {
      await on.load.answered(50 + on.random(100))
      const node = on.any()
      await node.network.freezeAt('commit')
      on.fault()
      await eventually(() => readiness(node), 503)
      // Everybody writes into the same conversations.
      await on.load.answered(100)
      node.network.heal()
      await recovered(on.nodes)
    })
    await on.load.answered(50)
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
