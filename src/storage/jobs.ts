import type { Commands, OpenOptions } from './database.ts'

/** A command to run, as it is queued and crosses to the writer thread. */
export interface Job {
  readonly name: string
  readonly input: unknown
}

/** A job whose caller waits for its outcome. */
export interface PendingJob {
  readonly job: Job
  /** A method, so that each caller may name the type that its command returns. */
  done(value: unknown): void
  readonly fail: (error: Error) => void
}

/** Returns the registry of commands for a database that this thread writes to. */
export function commandsOf({ commands, loadCommands }: Pick<OpenOptions, 'commands' | 'loadCommands'>): Promise<Commands> {
  return loadCommands ? loadCommands() : importCommands(commands.href)
}

/** Imports the registry of commands from the module that a database is opened with. */
export async function importCommands(module: string): Promise<Commands> {
  // `OpenOptions.commands` promises this export.
  const { commands }: { readonly commands: Commands } = await import(module)
  return commands
}
