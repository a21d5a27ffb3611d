import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServer, type TestServer } from '../support/server.ts'
import { catchMail, type SmtpCatcher } from './smtp-catcher.ts'
import { spawned } from './spawned.ts'

const has = (program: string, ...args: string[]) => spawnSync(program, args).status === 0
const hasPython = has('python3', '--version')
const hasSwaks = has('swaks', '--version')
const hasOpenssl = has('openssl', 'version')

let relay: SmtpCatcher
let server: TestServer
let folder: string
const box = 'support@example.com'

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'parley-mail-'))
  const tls = hasOpenssl && certificate(folder)
  relay = await catchMail()
  server = await startServer({
    mailRelay: relay.url,
    mailListen: { host: '127.0.0.1', port: 0 },
    ...(tls && { mailTlsCert: tls.cert, mailTlsKey: tls.key }),
  })
  await server.call('POST', '/v1/Configuration/Addresses', { Type: 'email', Address: box, 'AutoCreation.Enabled': 'true' })
})
afterAll(async () => {
  await server?.stop()
  await relay?.close()
  rmSync(folder, { recursive: true, force: true })
})

function certificate(folder: string) {
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const made = has(
    'openssl',
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=mx.example.com',
    '-keyout',
    key,
    '-out',
    cert,
  )
  return made && { cert, key }
}

async function messages() {
  const { conversations } = (await server.call('GET', '/v1/Conversations?PageSize=100')).body
  const found = []
  for (const { sid } of conversations)
    found.push(...(await server.call('GET', `/v1/Conversations/${sid}/Messages`)).body.messages)
  return found.map(({ author, body }: { author: string; body: string }) => [author, body])
}

describe('programs of the outside world', () => {
  test.skipIf(!hasSwaks)('swaks', async () => {
    const args = ['--server', `127.0.0.1:${server.mailPort}`, '--from', 'swaks@example.org', '--to', box, '--body', 'By swaks']
    const { code, output } = await spawned('swaks', args)
    expect(output).toMatch(/250 .*\n.*QUIT/)
    expect(code).toBe(0)
    expect(await messages()).toContainEqual(['swaks@example.org', 'By swaks'])
    const unknown = await spawned(
      'swaks',
      args.map((arg) => (arg === box ? 'nobody@example.com' : arg)),
    )
    expect(unknown.output).toContain('550 5.1.1')
  })

  test.skipIf(!hasPython || !hasOpenssl)('Python with STARTTLS', async () => {
    const script = join(folder, 'tls.py')
    writeFileSync(
      script,
      `import smtplib, sys
with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as s:
    s.starttls()
    s.sendmail('tls@example.org', sys.argv[2], 'From: tls@example.org\\r\\nMessage-ID: <tls@example.org>\\r\\n\\r\\nBy TLS')
    print(s.sock.version())
`,
    )
    const { code, output } = await spawned('python3', [script, String(server.mailPort), box])
    expect(output).toMatch(/^TLSv1\.[23]/)
    expect(code).toBe(0)
    expect(await messages()).toContainEqual(['tls@example.org', 'By TLS'])
  })

  test.skipIf(!hasPython)('Python: a mail with an attachment, and the reply to the answer', async () => {
    const script = join(folder, 'mail.py')
    writeFileSync(
      script,
      `import smtplib, sys
from email.message import EmailMessage
port, to, reply_to = int(sys.argv[1]), sys.argv[2], sys.argv[3]
m = EmailMessage()
m['From'], m['To'], m['Subject'] = 'Päivi <python@example.org>', to, 'Größe'
if reply_to: m['In-Reply-To'] = reply_to
m.set_content('By Python: ñ\\n' + ('\\nOn Thu, Support wrote:\\n> Quoted\\n' if reply_to else ''))
m.add_attachment(b'%PDF-1.4', maintype='application', subtype='pdf', filename='tarjous ä.pdf')
with smtplib.SMTP('127.0.0.1', port) as s:
    print(s.send_message(m))
`,
    )
    const send = (to: string, replyTo: string) => spawned('python3', [script, String(server.mailPort), to, replyTo])
    expect(await send(box, '')).toEqual({ code: 0, output: '{}\n' })
    const { conversations } = (await server.call('GET', '/v1/Conversations?PageSize=100')).body
    const bySender = async ({ sid }: { sid: string }) =>
      (await server.call('GET', `/v1/Conversations/${sid}/Messages`)).body.messages[0].author === 'python@example.org'
    const found = []
    for (const one of conversations) if (await bySender(one)) found.push(one)
    const path = `/v1/Conversations/${found[0].sid}`
    await server.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'Here is your answer' })
    const { mail } = await relay.next()
    expect(mail).toMatchObject({ subject: 'Re: Größe', to: [{ address: 'python@example.org', name: 'Päivi' }] })
    expect(await send(mail.reply_to[0]?.address ?? '', mail.message_id ?? '')).toEqual({ code: 0, output: '{}\n' })
    const after = (await server.call('GET', `${path}/Messages`)).body.messages
    expect(after.map(({ body }: { body: string }) => body)).toEqual(['By Python: ñ', 'Here is your answer', 'By Python: ñ'])
    expect(after[2].media.map(({ filename, content_type }: Record<string, string>) => [filename, content_type])).toEqual([
      [null, 'text/plain'],
      [null, 'text/plain'],
      ['tarjous ä.pdf', 'application/pdf'],
    ])
  })
})
