import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { makeTemporaryFolder, removeTemporaryFolder } from '../../src/temporary.ts'

export const hasNginx = spawnSync('nginx', ['-v']).status === 0

/** The names of the sample. */
export const publicName = 'conversations.example.com'
export const insideName = 'parley.example.internal'

export interface Nginx extends AsyncDisposable {
  readonly port: number
  readonly insidePort: number
  /** Of its certificate, which is its own authority. */
  readonly certificate: string
  /**
   * Changes the nodes while requests are under way: those that are, are finished by the node that has them. Resolves when they are over, those of
   * connections that were open before included: until then one of them may still be led by the old list.
   */
  reload(nodes: readonly number[]): Promise<void>
}

/** Returns the sample with these nodes and ports, and files that are there. */
function sample(folder: string, ports: { readonly port: number; readonly insidePort: number }, nodes: readonly number[]): string {
  const text = readFileSync(new URL('../../deploy/nginx.conf', import.meta.url), 'utf8')
  const servers = nodes.map((node) => `    server 127.0.0.1:${node} max_fails=1 fail_timeout=3s;`)
  return text
    .replace(/(?: {4}server 10\.\S+ .*\n)+/, `${servers.join('\n')}\n`)
    .replace('listen 443 ssl', `listen 127.0.0.1:${ports.port} ssl`)
    .replace('listen 8443 ssl', `listen 127.0.0.1:${ports.insidePort} ssl`)
    .replaceAll('/etc/nginx/', `${folder}/`)
}

/** A real nginx with `deploy/nginx.conf` before these ports of this machine. */
export async function startNginx(nodes: readonly number[]): Promise<Nginx> {
  const folder = makeTemporaryFolder('parley-nginx-')
  const { certificate } = makeCertificate(folder)
  const ports = { port: await freePort(), insidePort: await freePort() }
  const main = join(folder, 'nginx.conf')
  const site = join(folder, 'parley.conf')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`)
  mkdirSync(join(folder, 'logs'))
  writeFileSync(
    main,
    `${process.getuid?.() === 0 ? 'user root;\n' : ''}pid ${folder}/nginx.pid;\nerror_log ${folder}/error.log info;\nevents {}\n` +
      `http {\n  access_log off;\n  ${temporary.join('\n  ')}\n  include ${site};\n}\n`,
  )
  writeFileSync(site, sample(folder, ports, nodes))
  const nginx = (...args: string[]) => spawnSync('nginx', ['-p', folder, '-c', main, ...args], { encoding: 'utf8' })
  const tested = nginx('-t')
  if (tested.status !== 0) throw new Error(tested.stderr)
  const child: ChildProcess = spawn('nginx', ['-p', folder, '-c', main, '-g', 'daemon off;'], { stdio: 'ignore' })
  await untilOpen(ports.port, child)
  const workers = () => workersOf(child.pid ?? 0)
  return {
    ...ports,
    certificate,
    async reload(next) {
      const before = workers()
      writeFileSync(site, sample(folder, ports, next))
      const { status, stderr } = nginx('-s', 'reload')
      if (status !== 0) throw new Error(stderr)
      while (workers().some((pid) => before.includes(pid))) await new Promise(setImmediate)
    },
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      await gone
      removeTemporaryFolder(folder)
    },
  }
}

function makeCertificate(folder: string): { readonly certificate: string } {
  const file = join(folder, 'parley.crt')
  const names = `subjectAltName=DNS:${publicName},DNS:${insideName},IP:127.0.0.1`
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=parley',
    ].concat([...['-addext', names, '-keyout', join(folder, 'parley.key'), '-out', file]]),
    { stdio: 'ignore' },
  )
  return { certificate: readFileSync(file, 'utf8') }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  return port
}

async function untilOpen(port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`)
    const socket = connect(port, '127.0.0.1')
    const opened = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]).catch(
      () => false,
    )
    socket.destroy()
    if (opened) return
  }
}

function workersOf(master: number): number[] {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(master)], { encoding: 'utf8' })
  return stdout.split('\n').filter(Boolean).map(Number)
}
