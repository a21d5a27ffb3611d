import { Command } from 'commander'
import { configOf, withSettings } from './settings.ts'

/** `parley migrate`: what the server does at its start, as a step of its own. */
export function migrateCommand(): Command {
  return withSettings(new Command('migrate').description("bring the database to this version's schema"))
    .option('--check', 'change nothing; exit 1 when there is something to do')
    .action(async (options: { check?: true }, command: Command) => {
      // Here, because the other commands have no need of it.
      const { checkSchema, migrateSchema } = await import('../copy/migrate.ts')
      const { database } = configOf(command)
      for (const line of await (options.check ? checkSchema : migrateSchema)(database)) console.log(line)
    })
}
