import { ConfigError } from '../config-error.ts'
import { explainErrors } from '../installation/explain-errors.ts'
import { type DatabaseLocation, databaseLabel } from '../setting-values.ts'
import { schemaOf } from './inspect.ts'
import { openEndpoint, openTarget, refuseMemory } from './open.ts'

/** Returns lines for the operator. Throws ConfigError when migrations are pending. */
export function checkSchema(location: DatabaseLocation): Promise<string[]> {
  return explainErrors({ database: location }, async () => {
    refuseMemory(location, 'PARLEY_DATABASE_URL')
    const name = databaseLabel(location)
    const endpoint = await openEndpoint(location)
    try {
      const { pending } = await schemaOf(endpoint, name)
      if (pending.length === 0) return [`${name} is up to date`]
      throw new ConfigError(`${name} lacks ${pending.join(', ')}: parley migrate, or the next start of the server, applies it`)
    } finally {
      await endpoint.close()
    }
  })
}

/** Migrates a database to this version's schema; returns lines for the operator. Throws ConfigError. */
export function migrateSchema(location: DatabaseLocation): Promise<string[]> {
  return explainErrors({ database: location }, async () => {
    refuseMemory(location, 'PARLEY_DATABASE_URL')
    const name = databaseLabel(location)
    const target = await openTarget(location)
    try {
      const { pending } = await schemaOf(target, name)
      if (pending.length > 0) await target.prepare()
      return [...pending.map((migration) => `applied ${migration}`), `${name} is up to date`]
    } finally {
      await target.close()
    }
  })
}
