import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './postgres.ts'
import { unprivileged } from './postgres-binaries.ts'

/** Whether PgBouncer is installed: no registry of packages for Node has it. */
export const hasPgbouncer = spawnSync('pgbouncer', ['--version']).status === 0

export interface Pgbouncer extends AsyncDisposable {
  /** Of the same database by way of PgBouncer. */
  readonly url: string
}

/** Starts PgBouncer before the server of `url`. `settings`: more of `pgbouncer.ini`. */
export async function startPgbouncer(url: string, settings: Readonly<Record<string, string>>): Promise<Pgbouncer> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-pgbouncer-'))
  const user = unprivileged()
  const port = await freePort()
  const { hostname, port: serverPort, username, password } = new URL(url)
  const users = join(folder, 'users')
  writeFileSync(users, `"${username}" "${password}"\n`)
  const all = { listen_addr: '127.0.0.1', listen_port: port, unix_socket_dir: '', auth_type: 'scram-sha-256', auth_file: users }
  const lines = Object.entries({ ...all, ...settings }).map(([name, value]) => `${name} = ${value}`)
  const ini = join(folder, 'pgbouncer.ini')
  writeFileSync(ini, `[databases]\n* = host=${hostname} port=${serverPort}\n[pgbouncer]\n${lines.join('\n')}\n`)
  if (user) for (const path of [folder, users, ini]) chownSync(path, user.uid, user.gid)
  const child = spawn('pgbouncer', [ini], { ...user, stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'exit')
  await new Promise<void>((resolve, reject) => {
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('process up')) resolve()
    })
    ended.then(() => reject(new Error(`PgBouncer ended: ${said}`)), reject)
  })
  return {
    url: Object.assign(new URL(url), { port: String(port) }).href,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
