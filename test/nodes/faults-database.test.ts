import { test, vi } from 'vitest'
import { postgresOnly } from '../support/only.ts'
import { startPostgres } from '../support/postgres.ts'
import { eachRound, scene, within_lease_ms } from './scene.ts'
import { lookInto } from './verify.ts'

vi.setConfig({ maxConcurrency: 3 })

/** No answered write is lost, no event of it, no timer is missed or fires twice, each conversation's order is kept. */
postgresOnly('a database that fails, under load: nothing is lost, doubled or out of order', () => {
  test.concurrent('when the database is killed and starts again', async () => {
    await using postgres = await startPostgres({ durable: true })
    await using on = await scene({ what: 'kill of the database', postgres })
    let longest_ms = 0
    await eachRound(async () => {
      await on.load.answered(100 + on.random(200))
      on.fault()
      const killed_at = performance.now()
      await postgres.kill()
      await on.load.asked(on.random(20))
      await postgres.restart()
      longest_ms = Math.max(longest_ms, performance.now() - killed_at)
    })
    await on.load.answered(100)
    await on.finish({ once: longest_ms < within_lease_ms })
  })

  test.concurrent('when connections are ended at random', async () => {
    await using on = await scene({ what: 'pg_terminate_backend' })
    await using look = lookInto(on.nodes.database)
    const end = `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and application_name like 'parley%'`
    await eachRound(async () => {
      for (let i = 0; i < 10; i++) {
        await on.load.asked(10 + on.random(60))
        // Now and then all at once.
        const ended = await look.query(i % 5 === 4 ? end : `${end} order by random() limit 2`)
        for (const _ of ended) on.fault()
      }
    })
    await on.load.answered(100)
    await on.finish({ once: true })
  })
})
