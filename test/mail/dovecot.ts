import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Debian's Dovecot, which has to be started as root. The test settings are those of 2.3. */
export const hasDovecot = process.getuid?.() === 0 && /^2\.3\./.test(String(spawnSync('dovecot', ['--version']).stdout ?? ''))

export interface Dovecot {
  /** For `PARLEY_MAIL_IMAP`. */
  readonly url: string
  /** Puts a mail into the mailbox, as a mail server does. */
  deliver(mail: string): void
  /** The flags of the mails: `S` seen, `F` flagged. In the order of delivery. */
  flags(): string[]
  /** Ends all connections and starts again. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export const user = 'support@example.com'
const password = 'secret'

export async function startDovecot(): Promise<Dovecot> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-dovecot-'))
  chmodSync(folder, 0o755)
  const port = await freePort()
  const maildir = join(folder, 'mail')
  for (const part of ['', 'new', 'cur', 'tmp']) {
    mkdirSync(join(maildir, part), { recursive: true })
    chownSync(join(maildir, part), 65_534, 65_534)
  }
  writeFileSync(join(folder, 'users'), `${user}:{PLAIN}${password}:65534:65534::${folder}::\n`)
  chmodSync(join(folder, 'users'), 0o644)
  const config = join(folder, 'dovecot.conf')
  writeFileSync(
    config,
    `base_dir = ${folder}/run
log_path = ${folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:${maildir}
mailbox_list_index = no
passdb {
  driver = passwd-file
  args = ${folder}/users
}
userdb {
  driver = passwd-file
  args = ${folder}/users
}
service imap-login {
  inet_listener imap {
    port = ${port}
  }
  inet_listener imaps {
    port = 0
  }
}
`,
  )
  let mails = 0
  let server = await run(config, port, folder)
  return {
    url: `imap://${encodeURIComponent(user)}:${password}@127.0.0.1:${port}/INBOX`,
    deliver(mail) {
      const name = `${1_700_000_000 + ++mails}.M${mails}.parley`
      const file = join(maildir, 'tmp', name)
      writeFileSync(file, mail)
      chownSync(file, 65_534, 65_534)
      renameSync(file, join(maildir, 'new', name))
    },
    flags() {
      const files = [...readdirSync(join(maildir, 'new')), ...readdirSync(join(maildir, 'cur'))].sort()
      return files.map((name) => /:2,(\w*)$/.exec(name)?.[1] ?? '')
    },
    async restart() {
      await end(server)
      server = await run(config, port, folder)
    },
    async stop() {
      await end(server)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function run(config: string, port: number, folder: string): Promise<ChildProcess> {
  const server = spawn('dovecot', ['-F', '-c', config], { stdio: 'ignore' })
  for (;;) {
    if (server.exitCode !== null) throw new Error(`dovecot has ended:\n${readFileSync(join(folder, 'log'), 'utf8')}`)
    const socket = connect(port, '127.0.0.1')
    const open = await Promise.race([once(socket, 'data').then(() => true), once(socket, 'error').then(() => false)]).catch(
      () => false,
    )
    socket.destroy()
    if (open) return server
    // Not a wait for something to have happened: it is asked again until it answers.
    await delay(20)
  }
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null) return
  server.kill('SIGTERM')
  await once(server, 'exit')
}

async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
