import type { Vault } from '../vault.ts'

/** What is sealed says what it is for: nothing else that the vault has sealed is taken for a place. */
const purpose = 'place:'
const id = 'WD[0-9a-f]{32}'
const placeOf = new RegExp(`^${purpose}(${id})$`)

/** As a request may give it: the id of a delivery, or one that was sealed. */
export const placePattern = `^(${id}|[0-9A-Za-z_-]{91})$`

/**
 * Where the next page of the delivery log goes on. For somebody who sees some accounts only it is sealed when it is not one of the
 * deliveries that were returned: it may be another account's, and its id tells that there is one, and since when.
 */
export function placeFor(
  vault: Vault,
  accounts: ReadonlySet<string> | null,
  place: string | null,
  returned: readonly string[],
): string | null {
  if (place === null || accounts === null || returned.includes(place)) return place
  return Buffer.from(vault.seal(purpose + place), 'base64').toString('base64url')
}

/** Returns the id of a place that matches `placePattern`; undefined for one that nobody was given. */
export function openPlace(vault: Vault, place: string): string | undefined {
  if (place.startsWith('WD') && place.length === 34) return place
  try {
    return placeOf.exec(vault.open(place))?.[1]
  } catch {
    // Made up, or sealed with a key that is gone.
    return undefined
  }
}
