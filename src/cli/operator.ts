import { existsSync, readFileSync } from 'node:fs'
import fastify from 'fastify'
import { pino } from 'pino'
import { request } from 'undici'
import { adminRoutes } from '../admin/routes.ts'
import { type Config, ConfigError, secretFile } from '../config.ts'
import { explained } from '../installation/explained.ts'
import { firstAccountTold, openInstallation } from '../installation/open.ts'
import { DatabaseInUseError } from '../storage/errors.ts'
import { firstStart } from './first-start.ts'

type Method = 'GET' | 'POST' | 'DELETE'
type Ask = (method: Method, path: string, body?: object) => Promise<unknown>

/**
 * The operator's API, whether or not the server runs: over HTTP when it does, else on the database itself, which only one
 * process may open.
 */
export async function asOperator(config: Config, act: (ask: Ask) => Promise<void>): Promise<void> {
  const running = await overHttp(config)
  if (running) return act(running)
  const installation = await explained(config, () => openInstallation(config, { log: pino({ level: 'silent' }) })).catch(
    (error: Error) => {
      if (!(error.cause instanceof DatabaseInUseError)) throw error
      throw new ConfigError(
        `${error.message}; if that is the server you mean, give the settings it runs with: it does not answer on ` +
          `${config.host}:${config.port} to this operator token (--host, --port, --admin-token)`,
      )
    },
  )
  const told = firstStart(installation)
  if (told.length > 0) console.log(`${told.join('\n')}\n`)
  await firstAccountTold(installation)
  const server = fastify()
  await server.register(adminRoutes({ installation, timers: null, pipeline: null }), { prefix: '/admin/v1' })
  try {
    await act(async (method, path, body) => {
      const headers = { authorization: `Bearer ${installation.admin_token}` }
      const answer = await server.inject({ method, url: `/admin/v1${path}`, headers, ...(body && { payload: body }) })
      return answered(answer.statusCode, answer.body)
    })
  } finally {
    await server.close()
    await installation.database.close()
  }
}

async function overHttp(config: Config): Promise<Ask | undefined> {
  const file = secretFile(config, 'admin-token')
  const token = config.admin_token ?? (file && existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined)
  const host = config.host === '0.0.0.0' || config.host === '::' ? '127.0.0.1' : config.host
  const base = `http://${host.includes(':') ? `[${host}]` : host}:${config.port}/admin/v1`
  if (token === undefined) return undefined
  const ask: Ask = async (method, path, body) => {
    const answer = await request(base + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      body: body ? JSON.stringify(body) : null,
    })
    return answered(answer.statusCode, await answer.body.text())
  }
  try {
    const found = (await ask('GET', '/accounts')) as { accounts?: unknown } | null
    return Array.isArray(found?.accounts) ? ask : undefined
  } catch {
    // Nobody listens, or somebody else does: then the database is free, or says that it is not.
    return undefined
  }
}

function answered(status: number, body: string): unknown {
  if (status === 204) return null
  const parsed = JSON.parse(body) as { error?: string }
  if (status >= 400) throw new ConfigError(parsed.error ?? `the server answered ${status}`)
  return parsed
}
