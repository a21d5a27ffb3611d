import { createTransport, type SentMessageInfo, type Transporter } from 'nodemailer'

/** Somebody in the outside world who sends mail to the server by SMTP. */
export interface Outside {
  /** Sends a mail and resolves with the server's reply. Rejects with the reply when it is not taken. */
  send(mail: OutsideMail): Promise<string>
  close(): void
}

export interface OutsideMail {
  readonly from?: string
  /** Envelope recipients. */
  readonly to: string | readonly string[]
  /** Envelope sender; by default that of `from`. */
  readonly path?: string
  /** Headers by name; `From`, `To`, `Subject`, `Message-ID` have defaults. */
  readonly headers?: Readonly<Record<string, string | null>>
  readonly text?: string
  /** Instead of headers and text: the mail as it is. */
  readonly raw?: string | Buffer
}

let mails = 0

export function outside(port: number): Outside {
  const transport: Transporter<SentMessageInfo> = createTransport({
    host: '127.0.0.1',
    port,
    secure: false,
    ignoreTLS: true,
    pool: true,
  })
  return {
    async send({ from = 'Ann Lee <ann@example.org>', to, path, headers = {}, text = 'Hello', raw }) {
      const recipients = [to].flat()
      const address = /<(.*)>/.exec(from)?.[1] ?? from
      const all = {
        From: from,
        To: recipients.join(', '),
        Subject: 'Hello',
        'Message-ID': `<outside-${process.pid}-${++mails}@example.org>`,
        'Content-Type': 'text/plain; charset=utf-8',
        ...headers,
      }
      const lines = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`]))
      const { response } = await transport.sendMail({
        envelope: { from: path ?? address, to: recipients },
        raw: raw ?? `${lines.join('\r\n')}\r\n\r\n${text.replaceAll('\n', '\r\n')}\r\n`,
      })
      return String(response)
    },
    close: () => transport.close(),
  }
}
