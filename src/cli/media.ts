import { Command } from 'commander'
import { terminalProgress } from './copy.ts'
import { configOf, withSettings } from './settings.ts'

/** `parley media move`: moves uploaded files to the bucket or the folder that the server uses now. */
export function mediaCommand(): Command {
  const move = withSettings(
    new Command('move').description('move uploaded files to where the servers keep them now, while they run; --dry-run counts'),
  )
    .option('--dry-run', 'only count what is to be moved')
    .action(async (_options, command: Command) => {
      // Loaded here because the other commands do not need it.
      const { moveMedia } = await import('../copy/move-media.ts')
      const { progress } = await terminalProgress('Stopped. The same command goes on from here.')
      await moveMedia({ config: configOf(command), dryRun: command.opts<{ dryRun?: true }>().dryRun ?? false, progress })
    })
  return new Command('media').description('where uploaded files are kept').addCommand(move)
}
