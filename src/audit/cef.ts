import type { entryToJson } from './entry.ts'

export type ShownEntry = ReturnType<typeof entryToJson>

const severities = { success: 3, refused: 6, failed: 8 } as const

/** Returns an entry as a line of the Common Event Format (CEF:0), as log collectors read it. */
export function toCef(entry: ShownEntry): string {
  const { action, actor, at, from, outcome, target, version } = entry
  const head = ['Parley', 'Parley', version, action, action.replace(/[._]/g, ' '), severities[outcome]]
  const extension = {
    rt: Date.parse(at),
    src: from.address,
    suser: `${actor.type}:${actor.id}`,
    act: action,
    outcome,
    reason: entry.code,
    cnt: entry.count,
    externalId: entry.seq,
    requestClientApplication: from.agent,
    cs1Label: target.sid === null ? null : 'target',
    cs1: target.sid,
    cs2Label: entry.account_sid === null ? null : 'account',
    cs2: entry.account_sid,
    cs3Label: 'interface',
    cs3: from.interface,
    cs4Label: entry.before === null ? null : 'before',
    cs4: entry.before === null ? null : JSON.stringify(entry.before),
    cs5Label: entry.after === null ? null : 'after',
    cs5: entry.after === null ? null : JSON.stringify(entry.after),
    cs6Label: 'request',
    cs6: entry.request_id,
  }
  const pairs = Object.entries(extension).filter(([, value]) => value !== null)
  const escaped = pairs.map(
    ([name, value]) =>
      `${name}=${String(value)
        .replace(/[\\=]/g, '\\$&')
        .replace(/\r?\n|\r/g, '\\n')}`,
  )
  return `CEF:0|${head.map((part) => String(part).replace(/[\\|]/g, '\\$&')).join('|')}|${escaped.join(' ')}`
}
