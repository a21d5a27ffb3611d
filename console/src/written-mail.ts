/** A mail as somebody outside writes it. */
export interface WrittenMail {
  readonly from: string
  readonly to: string
  readonly subject: string
  readonly text: string
  readonly files: readonly File[]
  /** The Message-ID of the mail that it answers. */
  readonly inReplyTo: string | undefined
  readonly date: Date
}

/** Returns the mail as RFC 5322 has it, in ASCII: a mail program of a customer would hand over nothing else. */
export async function writtenMail({ from, to, subject, text, files, inReplyTo, date }: WrittenMail): Promise<string> {
  const id = `<${crypto.getRandomValues(new Uint32Array(4)).join('.')}@simulator.invalid>`
  const boundary = `part.${crypto.getRandomValues(new Uint32Array(4)).join('.')}`
  const head = [
    `From: ${line(from)}`,
    `To: ${line(to)}`,
    `Subject: ${encodedWord(subject)}`,
    `Date: ${date.toUTCString()}`,
    `Message-ID: ${id}`,
    ...(inReplyTo === undefined ? [] : [`In-Reply-To: ${line(inReplyTo)}`, `References: ${line(inReplyTo)}`]),
    'MIME-Version: 1.0',
  ]
  const body = part('text/plain; charset=utf-8', new TextEncoder().encode(text))
  if (files.length === 0) return [...head, body].join('\r\n')
  const attached = await Promise.all(
    files.map(async (file) => {
      const name = `filename*=UTF-8''${encodeURIComponent(file.name).replace(/['()*]/g, escaped)}`
      return part(line(file.type) || 'application/octet-stream', new Uint8Array(await file.arrayBuffer()), name)
    }),
  )
  const parts = [body, ...attached].map((one) => `--${boundary}\r\n${one}`)
  return [...head, `Content-Type: multipart/mixed; boundary="${boundary}"`, '', ...parts, `--${boundary}--`, ''].join('\r\n')
}

/** A header has one line. */
function line(text: string): string {
  return text.replace(/[\r\n]+/g, ' ')
}

function escaped(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase()}`
}

/** Short enough for a line of a mail, and no character is cut. */
const wordChars = 12

function encodedWord(text: string): string {
  const chars = [...line(text)]
  const words: string[] = []
  for (let i = 0; i < chars.length; i += wordChars) {
    words.push(`=?utf-8?B?${base64(new TextEncoder().encode(chars.slice(i, i + wordChars).join('')))}?=`)
  }
  return words.join('\r\n ')
}

function part(type: string, bytes: Uint8Array, filename?: string): string {
  const lines = base64(bytes).match(/.{1,76}/g) ?? []
  return [
    `Content-Type: ${type}`,
    'Content-Transfer-Encoding: base64',
    ...(filename === undefined ? [] : [`Content-Disposition: attachment; ${filename}`]),
    '',
    ...lines,
    '',
  ].join('\r\n')
}

/** Bytes that are given to a function as arguments at a time. */
const slice = 8192

export function base64(bytes: Uint8Array): string {
  let binary = ''
  for (let i = 0; i < bytes.length; i += slice) binary += String.fromCharCode(...bytes.subarray(i, i + slice))
  return btoa(binary)
}
