import { queryOptions } from '@tanstack/react-query'
import { get } from './api.ts'

export interface SentMail {
  readonly sid: string
  readonly account_sid: string
  readonly conversation_sid: string
  readonly message_sid: string
  readonly date: string
  readonly return_path: string
  readonly recipient: string
  readonly subject: string | null
  readonly size: number
}

export interface Mailbox {
  readonly address: string
  readonly name: string | null
}

export interface SentMailWithSource extends SentMail {
  readonly from: readonly Mailbox[]
  readonly to: readonly Mailbox[]
  readonly cc: readonly Mailbox[]
  readonly reply_to: readonly Mailbox[]
  readonly message_id: string | null
  readonly in_reply_to: readonly string[]
  readonly references: readonly string[]
  readonly text: string | null
  readonly html: string | null
  readonly attachments: readonly { readonly filename: string | null; readonly content_type: string; readonly size: number }[]
  readonly source: string
}

export const mailPath = (sid: string) => `/admin/v1/mail/${encodeURIComponent(sid)}`

/** Below the key of deliveries: a mail is caught when one of them ends. */
export const mails = queryOptions({
  queryKey: ['deliveries', 'mail'],
  queryFn: async () => (await get<{ mail: SentMail[] }>('/admin/v1/mail')).mail,
  staleTime: 0,
})

export const oneMail = (sid: string) =>
  queryOptions({ queryKey: ['mail', sid], queryFn: () => get<SentMailWithSource>(mailPath(sid)) })
