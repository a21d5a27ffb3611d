import { moduleUrl } from '../package.ts'
import type { OpenOptions } from '../storage/database.ts'

/** The commands of Parley, for a database that is opened: the thread has them by their URL, this one by an import as any other. */
export const commandModule: Pick<OpenOptions, 'commands' | 'loadCommands'> = {
  commands: moduleUrl('commands'),
  loadCommands: async () => (await import('../commands.ts')).commands,
}
