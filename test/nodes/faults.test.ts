import { test, vi } from 'vitest'
import { postgresOnly } from '../support/only.ts'
import { eachRound, rounds, scene } from './scene.ts'

vi.setConfig({ maxConcurrency: 3 })

/** No answered write is lost, no event of it, no timer is missed or fires twice, each conversation's order is kept. */
postgresOnly('nodes that are killed, under load: nothing is lost, doubled or out of order', () => {
  test.concurrent('without any fault', async () => {
    await using on = await scene({ what: 'no fault' })
    await on.load.answered(400 * rounds)
    await on.finish({ once: true })
  })

  test.concurrent('when one of three nodes is killed and does not come back', async () => {
    await using on = await scene({ what: 'kill -9 of a node for good', count: 3 })
    await on.load.answered(200 + on.random(300))
    on.fault()
    await on.any().kill9()
    await on.load.answered(300 * rounds)
    await on.finish({ once: false })
  })

  test.concurrent('when nodes are killed and start again', async () => {
    await using on = await scene({ what: 'kill -9 and restart of a node' })
    await eachRound(async () => {
      await on.load.answered(100 + on.random(200))
      const node = on.any()
      on.fault()
      await node.kill9()
      await on.load.answered(50)
      await node.restart()
    })
    await on.load.answered(100)
    await on.finish({ once: false })
  })
})
