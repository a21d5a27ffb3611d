import { Command, Option } from 'commander'
import { databasePlace } from '../config.ts'
import type { Home } from '../copy/secrets.ts'

interface Options {
  readonly from: string
  readonly to: string
  readonly fromDataDir?: string
  readonly toDataDir?: string
  readonly allowMissingFiles?: true
}

/** `parley copy`: from one database to another, of whichever engine. */
export function copyCommand(): Command {
  return new Command('copy')
    .description('copy a whole installation into an empty database of either engine; stop its servers first')
    .requiredOption('--from <url>', 'the database to copy: sqlite:<file> or postgres://… (PGPASSWORD may hold the password)')
    .requiredOption('--to <url>', 'the database to copy into: empty, or with a copy that was cut short')
    .addOption(dataDir('from'))
    .addOption(dataDir('to'))
    .option('--allow-missing-files', 'go on when the source lacks files of media that it names')
    .action(async (options: Options) => {
      const from = home(options.from, '--from', options.fromDataDir)
      const to = home(options.to, '--to', options.toDataDir)
      // Here, because the other commands have no need of it.
      const { copyInstallationTo } = await import('../copy/copy.ts')
      const { barProgress, plainProgress } = await import('../copy/progress.ts')
      const write = (line: string) => console.log(line)
      const progress = isWide(process.stdout) ? await barProgress(write) : plainProgress(write)
      const allow_missing_files = options.allowMissingFiles ?? false
      await copyInstallationTo({ from, to, allow_missing_files, progress })
    })
}

function dataDir(side: 'from' | 'to'): Option {
  const meaning = `folder of media and secrets that belongs to --${side} (default: the SQLite file's folder, else ./data)`
  return new Option(`--${side}-data-dir <folder>`, meaning).env('PARLEY_DATA_DIR')
}

function home(url: string, argument: string, data_dir: string | undefined): Home {
  return { database: databasePlace(url, argument), data_dir: data_dir || null }
}

/** A terminal that has room for a bar and what it says. */
function isWide({ isTTY, columns }: NodeJS.WriteStream): boolean {
  return isTTY && columns >= 80
}
