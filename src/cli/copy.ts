import { Command, Option } from 'commander'
import type { Progress } from '../copy/progress.ts'
import type { Location } from '../copy/secrets.ts'
import { parseDatabaseUrl } from '../setting-values.ts'

interface Options {
  readonly from: string
  readonly to: string
  readonly fromDataDir?: string
  readonly toDataDir?: string
  readonly allowMissingFiles?: true
}

/** `parley copy`: copies an installation from one database to another, of the same or the other engine. */
export function copyCommand(): Command {
  return new Command('copy')
    .description('copy an installation to an empty database of either engine; stop its servers first')
    .requiredOption('--from <url>', 'database to copy: sqlite:<file> or postgres://… (the password may be in PGPASSWORD)')
    .requiredOption('--to <url>', 'database to copy to: empty, or with an interrupted copy, which is then continued')
    .addOption(dataDir('from'))
    .addOption(dataDir('to'))
    .option('--allow-missing-files', 'continue when media files are missing from the source')
    .action(async (options: Options) => {
      const from = home(options.from, '--from', options.fromDataDir)
      const to = home(options.to, '--to', options.toDataDir)
      // Loaded here because the other commands do not need it.
      const { copyInstallationTo } = await import('../copy/copy.ts')
      const { progress } = await terminalProgress('Stopped. The same command goes on from here.')
      const allowMissingFiles = options.allowMissingFiles ?? false
      await copyInstallationTo({ from, to, allowMissingFiles, progress })
    })
}

function dataDir(side: 'from' | 'to'): Option {
  const description = `folder of media and secrets of --${side} (default: the folder of the SQLite file; ./data with PostgreSQL)`
  return new Option(`--${side}-data-dir <folder>`, description).env('PARLEY_DATA_DIR')
}

function home(url: string, argument: string, dataDir: string | undefined): Location {
  return { database: parseDatabaseUrl(url, argument), dataDir: dataDir || null }
}

/** Returns a progress bar on a terminal, otherwise lines. `cancelMessage`: what Ctrl-C says. */
export async function terminalProgress(cancelMessage: string): Promise<{ readonly progress: Progress; readonly isBar: boolean }> {
  const { barProgress, plainProgress } = await import('../copy/progress.ts')
  const write = (line: string) => console.log(line)
  const isBar = isWide(process.stdout)
  return { progress: isBar ? await barProgress(write, cancelMessage) : plainProgress(write), isBar }
}

/** Whether the output is a terminal with room for a progress bar and its text. */
function isWide({ isTTY, columns }: NodeJS.WriteStream): boolean {
  return isTTY && columns >= 80
}
