import { settings } from './config.ts'
import { ConfigError } from './config-error.ts'
import { nearest } from './nearest.ts'

/** Settings or variables, by name. */
type Texts = Readonly<Record<string, string | undefined>>

/** Variables that others set: the examples, the tests, and Kubernetes for a service of the name `parley`. */
const others = /^PARLEY_(URL|TEST_POSTGRES_URL|TEST_ENGINE|FAULT_\w+|SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_\w+)$/
const bareNames = new Map(settings.map(({ env }) => [withoutPrefix(env), env]))
const servicePort = /^(tcp|udp):\/\//

/** Returns a sentence for each variable `PARLEY_…` that is not a setting, with the name that may have been meant. */
export function unknownSettings(env: Texts): string[] {
  return unknownNames(env).map((name) => {
    const meant = nearestSetting(name)
    return `${name} is not a setting and has no effect${meant ? `: ${meant} may be meant` : ' (parley serve --help lists the settings)'}`
  })
}

/** Throws ConfigError when a program gives a setting `PARLEY_…` that there is not: unlike a variable, it is meant for Parley. */
export function refuseUnknownSettings(given: Texts): void {
  const sentences = unknownNames(given).map((name) => {
    const meant = nearestSetting(name)
    return `${name} is not a setting${meant ? `: ${meant} may be meant` : ' (docs/generated/settings.md lists the settings)'}`
  })
  if (sentences.length > 0) throw new ConfigError(sentences.join('; '))
}

function unknownNames(env: Texts): string[] {
  const known = new Set<string>(settings.map((setting) => setting.env))
  return Object.entries(env)
    .filter(([name, value]) => name.startsWith('PARLEY_') && !known.has(name) && !others.test(name) && value)
    .filter(([name, value]) => !(name === 'PARLEY_PORT' && servicePort.test(value ?? '')))
    .map(([name]) => name)
}

/** Returns the setting that may be meant. The prefix does not count. */
function nearestSetting(name: string): string | undefined {
  const meant = nearest(withoutPrefix(name), bareNames.keys())
  return meant && bareNames.get(meant)
}

function withoutPrefix(name: string): string {
  return name.replace(/^PARLEY_/, '')
}
