import { existsSync, readFileSync } from 'node:fs'
import fastify from 'fastify'
import { pino } from 'pino'
import { request } from 'undici'
import { adminRoutes } from '../admin/routes.ts'
import { type Config, ConfigError, secretFile } from '../config.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import { markFirstAccountShown, openInstallation } from '../installation/open.ts'
import { DatabaseInUseError } from '../storage/errors.ts'
import { firstStartNotice } from './first-start.ts'

/** A request to `/admin/v1`. `T`: the type of the response, which the caller knows from the path. */
type Call = <T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object) => Promise<T>

/**
 * Runs `act` with access to the operator's API: over HTTP while the server runs, otherwise on the database itself, which only
 * one process can open.
 */
export async function asOperator(config: Config, act: (call: Call) => Promise<void>): Promise<void> {
  const running = await overHttp(config)
  if (running) return act(running)
  const installation = await explainErrors(config, () => openInstallation(config, { log: pino({ level: 'silent' }) })).catch(
    (error: Error) => {
      if (!(error.cause instanceof DatabaseInUseError)) throw error
      throw new ConfigError(
        `${error.message}. If it is the server that this command is for, give the command its settings (--host, --port, ` +
          `--admin-token): no server at ${config.host}:${config.port} accepts this operator token`,
      )
    },
  )
  const notice = firstStartNotice(installation)
  if (notice.length > 0) console.log(`${notice.join('\n')}\n`)
  await markFirstAccountShown(installation)
  const server = fastify()
  await server.register(adminRoutes({ installation, timers: null, pipeline: null, limits: null, logins: null, gateway: null }), {
    prefix: '/admin/v1',
  })
  try {
    await act(async (method, path, body) => {
      const headers = { authorization: `Bearer ${installation.adminToken}` }
      const response = await server.inject({ method, url: `/admin/v1${path}`, headers, ...(body && { payload: body }) })
      return parseResponse(response.statusCode, response.body)
    })
  } finally {
    await server.close()
    await installation.database.close()
  }
}

async function overHttp(config: Config): Promise<Call | undefined> {
  const file = secretFile(config, 'admin-token')
  const token = config.adminToken ?? (file && existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined)
  const host = config.host === '0.0.0.0' || config.host === '::' ? '127.0.0.1' : config.host
  const base = `http://${host.includes(':') ? `[${host}]` : host}:${config.port}/admin/v1`
  if (token === undefined) return undefined
  const call: Call = async (method, path, body) => {
    const response = await request(base + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      body: body ? JSON.stringify(body) : null,
    })
    return parseResponse(response.statusCode, await response.body.text())
  }
  try {
    const found = await call<{ accounts?: unknown } | null>('GET', '/accounts')
    return Array.isArray(found?.accounts) ? call : undefined
  } catch {
    // No server listens, or it is not Parley: then the database is free, or opening it fails with the reason.
    return undefined
  }
}

/** Returns the body of a response; null for 204. Throws ConfigError when the request is refused. */
function parseResponse<T>(status: number, body: string): T {
  const parsed = JSON.parse(status === 204 ? 'null' : body)
  if (status >= 400) throw new ConfigError(parsed.error ?? `the server responded with ${status}`)
  return parsed
}
