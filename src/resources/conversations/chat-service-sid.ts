import type { Urls } from '../../model/representation.ts'

/** Messages, receipts, participants and scoped webhooks have a `chat_service_sid` only in the service family (documented). */
export function chatServiceSid(row: { readonly service_sid: string }, urls: Urls): { chat_service_sid?: string } {
  return urls.family === urls.root ? {} : { chat_service_sid: row.service_sid }
}
