import { milliseconds } from '../dates.ts'
import type { AnyResource, BaseRow } from '../model/declare.ts'
import { represent, urlsFor } from '../model/represent.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { receipts } from '../resources/conversations/messages/receipt.ts'
import { participants } from '../resources/conversations/participants/participant.ts'
import { bindings } from '../resources/services/binding.ts'
import { users } from '../resources/users/user.ts'
import type { Reader } from '../storage/database.ts'
import type { DeliveryRow, MediaRow } from '../storage/schema.ts'
import { withoutCredentials } from '../urls.ts'
import { type Belonging, belongings, type Found, type Key, type Row, walk } from './belongings.ts'
import { found } from './find.ts'
import type { Person } from './person.ts'

/** A line of a disclosure: what a row is, where it belongs, and the row as the API shows it. */
export type Line = Readonly<Record<string, unknown>>

/** What each table's rows are called, and how they are shown. */
const shown: Readonly<Partial<Record<Belonging['table'], { readonly kind: string; readonly show: (row: never) => object }>>> = {
  users: { kind: 'user', show: asResource(users) },
  bindings: { kind: 'binding', show: asResource(bindings) },
  participants: { kind: 'participant', show: asResource(participants) },
  messages: { kind: 'message', show: asResource(messages) },
  receipts: { kind: 'receipt', show: asResource(receipts) },
  media: { kind: 'media', show: mediaToJson },
  deliveries: { kind: 'delivery', show: deliveryToJson },
}

/**
 * Yields what there is of a person: the rows that an erasure would find, less the messages of others. Deliveries say to whom their data
 * went, not with what. Nothing is locked: what changes meanwhile may be shown as before or as after.
 */
export async function* disclose(read: Reader, start: Person): AsyncGenerator<Line> {
  const person = await found(read, start)
  for (const belonging of belongings) {
    const how = shown[belonging.table]
    let after: Key | null = null
    while (how) {
      const looked = await walk(read, belonging, person, after)
      for (const { row } of looked.rows.filter(isDisclosed)) {
        // The row is of the table that its way is listed under.
        yield { kind: how.kind, ...envelope(row), resource: how.show(row as never) }
      }
      after = looked.after
      if (after === null) break
    }
  }
}

/** What only names the person is somebody else's. */
function isDisclosed({ relation }: Found): boolean {
  return relation === 'own'
}

function envelope({ account_sid, service_sid, conversation_sid, message_sid }: Row): Line {
  const all = { account_sid, chat_service_sid: service_sid, conversation_sid, message_sid }
  return Object.fromEntries(Object.entries(all).filter(([, sid]) => typeof sid === 'string' && sid !== ''))
}

/** Shows a row as the API does, but for what depends on the host. */
function asResource(resource: AnyResource): (row: BaseRow) => object {
  const urls = urlsFor('', { service: null, parents: [] }, 'service')
  return (row) => {
    const { url: _url, links: _links, ...body } = represent(resource, row, '', urls)
    return body
  }
}

function mediaToJson({ sid, category, content_type, size, filename, author, sha256, date_created }: MediaRow): object {
  return { sid, category, content_type, size, filename, author, sha256, date_created: milliseconds(date_created) }
}

function deliveryToJson({ id, kind, event_type, url, status, date_created }: DeliveryRow): object {
  const to = url === '' ? null : withoutCredentials(url)
  return { id, kind, event_type, url: to, status, date_created: milliseconds(date_created) }
}
