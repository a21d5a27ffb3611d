import { type Config, ConfigError } from '../config.ts'

/** Runs what opens files; turns what a person can mend into a sentence that says how. */
export async function explained<T>(config: Pick<Config, 'database'>, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    const file = config.database.engine === 'sqlite' ? config.database.file : 'data'
    if (
      [
        'EACCES',
        'EPERM',
        'EROFS',
        'ENOTDIR',
        'EEXIST',
        'ENOENT',
        'EISDIR',
        'ENOSPC',
        'SQLITE_CANTOPEN',
        'SQLITE_READONLY',
        'SQLITE_FULL',
      ].includes(code ?? '')
    ) {
      throw new ConfigError(`the data folder of ${file} cannot be used (${message}): check its owner, or set PARLEY_DATABASE_URL`)
    }
    if (code === 'SQLITE_NOTADB' || code === 'SQLITE_CORRUPT') {
      throw new ConfigError(`${file} is not a Parley database (${message}): restore a backup, or set PARLEY_DATABASE_URL`)
    }
    if (/in use by another Parley|made by a newer Parley/.test(message)) throw new ConfigError(message)
    throw error
  }
}
