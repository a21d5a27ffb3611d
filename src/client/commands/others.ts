import { milliseconds } from '../../dates.ts'
import { parseStored } from '../../json.ts'
import type { ContentRow } from '../../storage/schema.ts'
import { shape } from '../../storage/shapes.ts'
import type { ClientCall } from '../call.ts'
import type { Route, TunnelResponse } from '../tunnel.ts'
import { pageOf } from './pages.ts'

const contentsOf = shape<{ account_sid: string }>()((db, a) =>
  db.selectFrom('contents').selectAll().where('account_sid', '=', a.account_sid).orderBy('sid'),
)

async function contentTemplates({ pipeline, session, request }: ClientCall): Promise<TunnelResponse> {
  const rows = await pipeline.read.all(contentsOf, { account_sid: session.account_sid })
  const { items, meta } = pageOf(request.query, rows)
  return { status: 200, body: { templates: items.map(templateJson), meta } }
}

function templateJson(row: ContentRow) {
  return {
    sid: row.sid,
    friendly_name: row.friendly_name,
    variables: row.variables,
    variants: parseStored<object>(row.types),
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}

export const otherRoutes: readonly Route<ClientCall>[] = [
  { method: 'GET', path: '/Client/v2/ContentTemplates', run: contentTemplates },
]
