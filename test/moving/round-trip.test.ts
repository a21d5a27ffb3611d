import { join } from 'node:path'
import { expect, test } from 'vitest'
import { exported, fill, imported, installedOn } from '../support/moving.ts'
import { folder } from '../support/process.ts'

const bodyOf = ([header, ...lines]: string[]) => {
  expect(JSON.parse(header ?? '')).toMatchObject({ kind: 'header', format: 1 })
  return lines
}

test('what is exported is the same after it was imported by the other engine and back', async () => {
  using files = folder()
  await using first = await installedOn('sqlite')
  await using second = await installedOn('own')
  await using third = await installedOn('sqlite')
  {
    await using server = await first.start()
    const service_sid = await fill(server)
    await server.call('POST', '/v1/Configuration', { DefaultChatServiceSid: service_sid })
    await server.call('POST', '/v1/Conversations', { UniqueName: 'of the new default' })
  }
  const before = await exported(first, files.file('1'))
  for (const [from, to, n] of [[1, second, 2] as const, [2, third, 3] as const]) {
    await using server = await to.start()
    const report = await imported(server, to, join(files.file(String(from)), 'records.jsonl'))
    expect(report.faults).toEqual([])
    const after = await exported(to, files.file(String(n)))
    expect(bodyOf(after)).toEqual(bodyOf(before))
    // Once more: nothing changes.
    const again = await imported(server, to, join(files.file(String(from)), 'records.jsonl'))
    expect(again.faults).toEqual([])
    for (const [kind, counts] of again.counts) expect([kind, counts.unchanged]).toEqual([kind, counts.read])
  }
})
