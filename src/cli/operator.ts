import { resolve } from 'node:path'
import fastify from 'fastify'
import { pino } from 'pino'
import { adminRoutes } from '../admin/routes.ts'
import { noCompilers } from '../api/compilers.ts'
import { Operator } from '../api/operator.ts'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import { type Installation, markFirstAccountShown, openInstallation } from '../installation/open.ts'
import { vaultCheck } from '../installation/secrets.ts'
import { databaseLabel } from '../setting-values.ts'
import { DatabaseInUseError } from '../storage/errors.ts'
import { peekFacts } from '../storage/peek.ts'
import { firstStartNotice } from './first-start.ts'
import { type Call, findServer, parseResponse, type RunningServer } from './server.ts'

/**
 * Runs `act` with access to the operator's API: over HTTP while the server runs, otherwise on the database itself, which only
 * one process can open. `creates`: an installation is created where there is none. Throws ConfigError.
 */
export async function asOperator(config: Config, act: (call: Call) => Promise<void>, { creates = false } = {}): Promise<void> {
  const found = await findServer(config)
  if (found.call) return act(found.call)
  const installation = await explainErrors(config, async () => {
    await refuseNothing(config, found.reason, creates)
    return openInstallation(config, { log: pino({ level: 'silent' }) })
  }).catch((error: Error) => {
    throw explainInUse(error, found.reason)
  })
  const notice = firstStartNotice(installation)
  if (notice.length > 0) console.log(`${notice.join('\n')}\n`)
  await markFirstAccountShown(installation)
  await onDatabase(installation, act)
}

/** Runs `act` with access to the operator's API of the running server. Throws ConfigError when it does not run. */
export async function onServer(config: Config, act: (call: Call) => Promise<void>): Promise<void> {
  return act((await runningServer(config)).call)
}

/** Has the running server record that data is read past it. Where none runs there is nobody to record it. */
export async function recordExport(config: Config, what: object): Promise<void> {
  try {
    await (await findServer(config)).call?.('POST', '/audit/exports', what)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    console.error(`The audit log has no entry of it: ${error.message}`)
  }
}

/** Returns the running server. Throws ConfigError when it does not run. */
export async function runningServer(config: Config): Promise<RunningServer> {
  const found = await findServer(config)
  if (found.call) return found
  throw new ConfigError(
    `this command needs the running server of ${databaseLabel(config.database)}, but ${found.reason}: start it, or give the ` +
      'command its settings (--host, --port, --database-url)',
  )
}

/** Says how to reach the server that has the database open. `reason`: why it was not found. Any other error is returned as it is. */
export function explainInUse(error: Error, reason: string): Error {
  if (!(error.cause instanceof DatabaseInUseError)) return error
  return new ConfigError(
    `${error.message}. If it is the server that this command is for, give the command its settings (--host, --port, ` +
      `--admin-token): ${reason}`,
  )
}

/** Throws ConfigError, with the places that were looked at, where there is no installation that a command could be about. */
async function refuseNothing({ database }: Config, reason: string, creates: boolean): Promise<void> {
  const inMemory = database.engine === 'sqlite' && database.file === ':memory:'
  if (!inMemory && (creates || (await peekFacts(database))?.has(vaultCheck))) return
  const place = inMemory ? 'a database in memory can only be reached in its server' : `${placeOf(database)} has no installation`
  throw new ConfigError(
    `${place}, and ${reason}: start one with parley serve, or give the command its settings (--database-url, --host, --port)`,
  )
}

function placeOf(database: Config['database']): string {
  return database.engine === 'sqlite' ? resolve(database.file) : databaseLabel(database)
}

async function onDatabase(installation: Installation, act: (call: Call) => Promise<void>): Promise<void> {
  const server = fastify({ schemaController: noCompilers })
  await server.register(
    adminRoutes({
      installation,
      timers: null,
      idle: null,
      limits: null,
      operator: new Operator({ ...installation, read: installation.database.read, logins: null }),
      gateway: null,
      channels: null,
      email: null,
      mirror: null,
      testMode: null,
    }),
    {
      prefix: '/admin/v1',
    },
  )
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
