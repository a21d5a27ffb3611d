import { milliseconds } from '../../dates.ts'
import { parseStored } from '../../json.ts'
import { randomSid } from '../../sids.ts'
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

/** No push is sent. A refusal would be repeated for ever, so a registration is accepted and forgotten. */
async function register(): Promise<TunnelResponse> {
  return { status: 201, body: { id: randomSid('binding') } }
}

async function unregister(): Promise<TunnelResponse> {
  return { status: 204, body: null }
}

export const otherRoutes: readonly Route<ClientCall>[] = [
  { method: 'GET', path: '/Client/v2/ContentTemplates', run: contentTemplates },
  { method: 'POST', path: '/v1/registrations', run: register },
  { method: 'DELETE', path: '/v1/registrations', run: unregister },
  { method: 'DELETE', path: '/v1/registrations/:id', run: unregister },
]
