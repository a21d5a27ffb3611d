import { untraced } from '../events/queue.ts'
import { parseStored } from '../json.ts'
import type { DeliveryRow } from '../storage/schema.ts'

/** Returns a test whether one of a delivery's parameters has a text in it, in whatever case. */
export function searchForm(text: string): (row: Pick<DeliveryRow, 'form'>) => boolean {
  const wanted = text.toLowerCase()
  // Few forms have it: the others need not be parsed. The letter of an escape may be taken for one of the text, so that those are.
  const written = JSON.stringify(wanted).slice(1, -1)
  return (row) => {
    if (!row.form.toLowerCase().includes(written)) return false
    const params = Object.values(parseStored<Record<string, unknown>>(untraced(row).row.form))
    return params.some((value) => typeof value === 'string' && value.toLowerCase().includes(wanted))
  }
}
