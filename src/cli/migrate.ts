import { Command } from 'commander'
import { configOf, withSettings } from './settings.ts'

/** `parley migrate`: migrates the schema as the server does at start, but as a separate step. */
export function migrateCommand(): Command {
  return withSettings(new Command('migrate').description("migrate the database to this version's schema"))
    .option('--check', 'change nothing; exit with 1 if migrations are pending')
    .action(async (options: { check?: true }, command: Command) => {
      // Loaded here because the other commands do not need it.
      const { checkSchema, migrateSchema } = await import('../copy/migrate.ts')
      const { database } = configOf(command)
      for (const line of await (options.check ? checkSchema : migrateSchema)(database)) console.log(line)
    })
}
