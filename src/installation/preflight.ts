import { dirname } from 'node:path'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { gatewayFolder, mediaFolder, secretFile } from '../data-folders.ts'
import { codeOf } from '../errors.ts'
import { checkFolder } from '../folders.ts'
import { checkMediaSettings } from '../media/open.ts'
import type { Seed } from '../seed/read.ts'
import { peekFacts } from '../storage/peek.ts'
import { copyUnderWay } from './copy-marker.ts'
import { readMediaMarker, refuseOtherSecrets, refuseOthersMedia } from './secrets.ts'
import { checkSeed } from './seed.ts'
import { clockIn, isAhead } from './test-clock.ts'
import { refuseOutsideTestMode } from './test-mode.ts'

/**
 * Finds out what prevents an installation from being opened while nothing has been written: no database, no migration, no secret.
 * Throws ConfigError and what the database throws.
 */
export async function checkBeforeOpening(config: Config, seed: Seed | null): Promise<void> {
  if (config.readWorkers > 0 && config.database.engine === 'postgres') {
    throw new ConfigError(
      'PARLEY_READ_WORKERS (--read-workers) is for SQLite: leave it out with PostgreSQL, where further cores take further nodes',
    )
  }
  checkFolders(config)
  checkMediaSettings(config)
  // Of nodes that start at once, one writes the key, the facts and the marker, in this order: a marker was there after the facts.
  const marker = readMediaMarker(config)
  const facts = await peekFacts(config.database)
  if (facts?.has(copyUnderWay)) {
    throw new ConfigError('a copy into this database was interrupted: run the same parley copy again')
  }
  if (facts && config.testMode) refuseOutsideTestMode(facts)
  if (facts && isAhead(clockIn(facts)) && !config.testClock && !config.testMode) {
    throw new ConfigError(
      'the clock of this database was moved ahead by a test. Set it back: start with PARLEY_TEST_CLOCK=true, and send ' +
        'POST /admin/v1/clock {"reset":true}. Or use another database',
    )
  }
  if (seed) await checkSeed(seed, config, facts)
  refuseOtherSecrets(config, facts)
  refuseOthersMedia(config, facts, marker)
}

/** Whatever is written must find its folder. Throws ConfigError when PARLEY_DATA_DIR is the one that it does not find. */
function checkFolders(config: Config): void {
  const { database, dataDir, gatewayPort, gatewayTlsPort } = config
  const secrets = secretFile(config, 'key')
  if (secrets === null) return
  const gateway = gatewayPort === null && gatewayTlsPort === null ? null : gatewayFolder(config)
  try {
    for (const folder of [dirname(secrets), mediaFolder(config), gateway]) if (folder !== null) checkFolder(folder)
  } catch (error) {
    if (dataDir === null || !(error instanceof Error) || codeOf(error) === undefined) throw error
    const sentence = `PARLEY_DATA_DIR (--data-dir) ${dataDir} cannot be used (${error.message}): check its owner, or set another folder`
    throw new ConfigError(sentence, { cause: error })
  }
  if (database.engine === 'sqlite') checkFolder(dirname(database.file))
}
