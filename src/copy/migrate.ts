import { ConfigError, type DatabasePlace, shownPlace } from '../config.ts'
import { explained } from '../installation/explained.ts'
import { schemaOf } from './inspect.ts'
import { lookAt, openTarget, refuseMemory } from './open.ts'

/** Answers what to tell. Throws ConfigError when there is something to do. */
export function checkSchema(place: DatabasePlace): Promise<string[]> {
  return explained({ database: place }, async () => {
    refuseMemory(place, 'PARLEY_DATABASE_URL')
    const name = shownPlace(place)
    const side = await lookAt(place)
    try {
      const { pending } = await schemaOf(side, name)
      if (pending.length === 0) return [`${name} is up to date`]
      throw new ConfigError(`${name} lacks ${pending.join(', ')}: parley migrate, or the next start of the server, applies it`)
    } finally {
      await side.close()
    }
  })
}

/** Brings a database to this version's schema; answers what it did. Throws ConfigError. */
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
