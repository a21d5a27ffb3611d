import { readConfig, type SettingTexts } from './config.ts'
import type { Running } from './main.ts'
import { checkNode } from './node-version.ts'
import { refuseUnknownSettings } from './unknown-settings.ts'

export type { SettingTexts as ParleySettings } from './config.ts'

/**
 * A Parley server that runs in this process.
 *
 *     await using parley = await Parley.start({ PORT: '0', PARLEY_DATABASE_URL: 'sqlite::memory:' })
 *     parley.url // http://127.0.0.1:49152
 */
export class Parley implements AsyncDisposable {
  readonly #running: Running
  /** SID and auth token of the first account. The token is null when an earlier start has shown it. */
  readonly account: { readonly sid: string; readonly authToken: string | null }
  /** The operator token of `/admin/v1`. */
  readonly adminToken: string

  private constructor(running: Running) {
    const { account, adminToken } = running.installation
    this.#running = running
    this.account = { sid: account.sid, authToken: account.unshownToken }
    this.adminToken = adminToken
  }

  /**
   * Starts a server. Settings have the names of their environment variables; the environment itself is not read.
   * Throws an error that names the remedy when a setting is wrong or unknown, when the port or the database is
   * not available, and on a Node that is too old.
   */
  static async start(settings: SettingTexts = {}): Promise<Parley> {
    checkNode()
    refuseUnknownSettings(settings)
    const config = readConfig(settings)
    // They load SQLite, which a Node that is too old does not survive.
    const [{ start }, { markFirstAccountShown }] = await Promise.all([import('./main.ts'), import('./installation/open.ts')])
    const running = await start(config)
    await markFirstAccountShown(running.installation)
    return new Parley(running)
  }

  /** The base URL on which the server listens. */
  get url(): string {
    return this.#running.url
  }

  /** Finishes the requests and deliveries in flight, then closes the server and the database. */
  stop(): Promise<void> {
    return this.#running.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
