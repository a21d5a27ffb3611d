import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ListObjectVersionsCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3'
import { describe } from 'vitest'
import type { SettingTexts } from '../../src/config.ts'

const required = process.env.PARLEY_TEST_S3
const program = required ?? join(process.env.GOPATH ?? join(homedir(), 'go'), 'bin', 'versitygw')

if (required && !existsSync(required)) throw new Error(`there is no S3 server at PARLEY_TEST_S3=${required}`)

const hasS3 = existsSync(program)

/** Describes tests with a real S3 server, which checks signatures. Without one they are skipped, unless `PARLEY_TEST_S3` says where. */
export function describeWithS3(what: string, define: () => void): void {
  const remedy = 'go install github.com/versity/versitygw/cmd/versitygw@v1.8.0, or say in PARLEY_TEST_S3 where it is'
  describe.runIf(hasS3)(hasS3 ? what : `${what} (skipped: there is no ${program}; ${remedy})`, define)
}

const againMs = 20

const accessKey = 'key-of-the-tests'
const secretKey = 'secret-of-the-tests'

/** A bucket, whose objects are files. */
export interface TestBucket {
  /** Without credentials. `endpoint`: in place of the server's own. */
  url(prefix: string, endpoint?: string): string
  /** What a server needs to use it. */
  settings(prefix: string, endpoint?: string): SettingTexts
  /** Where the objects below the prefix are. */
  path(prefix: string): string
  /** Where the object of a content is. */
  fileOf(prefix: string, bytes: Buffer): string
  /** From now on what is deleted or replaced is kept. */
  keepVersions(): Promise<void>
  /** The names of all versions below the prefix, and of the marks of deletions. */
  versions(prefix: string): Promise<string[]>
  /** The names of all objects below the prefix. */
  objects(prefix: string): string[]
}

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string
  /** Makes a bucket. */
  bucket(name: string): TestBucket
}

/** Starts an S3 server on a folder of its own. `options`: of its program. `versioned`: whether its buckets may keep versions. */
export async function startS3(options: readonly string[] = [], { versioned = false } = {}): Promise<S3Server> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-s3-'))
  const [root, versions] = [join(folder, 'objects'), join(folder, 'versions')]
  for (const path of [root, versions]) mkdirSync(path)
  const { child, port } = await launch((port) => [
    ...['--access', accessKey, '--secret', secretKey, '--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive', ...options],
    ...['posix', ...(versioned ? ['--versioning-dir', versions] : []), root],
  ])
  const endpoint = `http://127.0.0.1:${port}`
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey }
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
  const bucket = (name: string): TestBucket => {
    mkdirSync(join(root, name), { recursive: true })
    const url = (prefix: string, at = endpoint) => `s3://${name}/${prefix}?endpoint=${encodeURIComponent(at)}`
    return {
      url,
      settings: (prefix, at) => ({
        PARLEY_MEDIA_STORE: url(prefix, at),
        PARLEY_MEDIA_ACCESS_KEY_ID: accessKey,
        PARLEY_MEDIA_SECRET_ACCESS_KEY: secretKey,
      }),
      path: (prefix) => join(root, name, prefix),
      fileOf(prefix, bytes) {
        const sha256 = createHash('sha256').update(bytes).digest('hex')
        return join(root, name, prefix, sha256.slice(0, 2), sha256.slice(2, 4), sha256)
      },
      async keepVersions() {
        const VersioningConfiguration = { Status: 'Enabled' } as const
        await client.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration }))
      },
      async versions(prefix) {
        const { Versions = [], DeleteMarkers = [] } = await client.send(
          new ListObjectVersionsCommand({ Bucket: name, Prefix: `${prefix}/` }),
        )
        return [...Versions, ...DeleteMarkers].map(({ Key = '' }) => Key.slice(prefix.length + 1)).sort()
      },
      objects(prefix) {
        const at = join(root, name, prefix)
        if (!existsSync(at)) return []
        const entries = readdirSync(at, { recursive: true, withFileTypes: true })
        return entries
          .filter((entry) => entry.isFile())
          .map(({ parentPath, name }) => join(parentPath, name).slice(at.length + 1))
          .sort()
      },
    }
  }
  return {
    endpoint,
    bucket,
    async [Symbol.asyncDispose]() {
      client.destroy()
      const gone = once(child, 'exit')
      if (child.kill('SIGKILL')) await gone
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** It takes no port 0: another program may be quicker to take the port that was free. */
async function launch(args: (port: number) => readonly string[]): Promise<{ child: ChildProcess; port: number }> {
  for (;;) {
    const port = await freePort()
    const child = spawn(program, args(port), { stdio: 'ignore' })
    const ended = once(child, 'exit')
    let listens = false
    while (!listens && child.exitCode === null) listens = await accepts(port)
    if (listens) return { child, port }
    await ended
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    await delay(againMs)
    return false
  } finally {
    socket.destroy()
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  return port
}
