import { ConfigError, type DatabasePlace, shownPlace } from '../config.ts'
import { explained } from '../installation/explained.ts'
import { schemaOf } from './inspect.ts'
import { openEndpoint, openTarget, refuseMemory } from './open.ts'

/** Returns lines for the operator. Throws ConfigError when migrations are pending. */
export function checkSchema(place: DatabasePlace): Promise<string[]> {
  return explained({ database: place }, async () => {
    refuseMemory(place, 'PARLEY_DATABASE_URL')
    const name = shownPlace(place)
    const endpoint = await openEndpoint(place)
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
export function migrateSchema(place: DatabasePlace): Promise<string[]> {
  return explained({ database: place }, async () => {
    refuseMemory(place, 'PARLEY_DATABASE_URL')
    const name = shownPlace(place)
    const target = await openTarget(place)
    try {
      const { pending } = await schemaOf(target, name)
      if (pending.length > 0) await target.prepare()
      return [...pending.map((migration) => `applied ${migration}`), `${name} is up to date`]
    } finally {
      await target.close()
    }
  })
}
