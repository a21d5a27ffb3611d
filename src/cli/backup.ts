import { Command } from 'commander'
import { terminalProgress } from './copy.ts'
import { configOf, withSettings } from './settings.ts'

/** `parley backup`: writes the database, of either engine, and the media of an installation to a folder. */
export function backupCommand(): Command {
  return withSettings(new Command('backup').description('back up database and media to a folder, while the server runs or not'))
    .argument('<folder>', 'new or empty folder; it gets parley.db, a SQLite database, and parley.media')
    .option('--allow-missing-files', 'continue when media files are missing from the installation')
    .action(async (folder: string, _options, command: Command) => {
      // Loaded here because the other commands do not need it.
      const { backupInstallation } = await import('../copy/backup.ts')
      const { recordExport } = await import('./operator.ts')
      const config = configOf(command)
      const allowMissingFiles = command.opts<{ allowMissingFiles?: true }>().allowMissingFiles ?? false
      const { progress } = await terminalProgress('Stopped. What is in the folder is incomplete: delete it.')
      await recordExport(config, { backup: true })
      await backupInstallation({ config, folder, allowMissingFiles, progress })
    })
}
