import { accessSync, constants, existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Config, ConfigError, secretFile } from '../config.ts'
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
  const secrets = secretFile(config, 'key')
  if (secrets !== null) accessSync(existingFolder(dirname(secrets)), constants.W_OK)
}

/** Returns the folder itself or the closest one above it that exists. */
function existingFolder(folder: string): string {
  return existsSync(folder) || dirname(folder) === folder ? folder : existingFolder(dirname(folder))
}
