import { newAccount } from '../accounts/accounts.ts'
import type { NewAccount } from '../accounts/commands.ts'
import { newChannel } from '../channels/given-channel.ts'
import { SettingError } from '../channels/settings.ts'
import { ConfigError } from '../config-error.ts'
import { ApiError } from '../errors.ts'
import { isJsonObject, parseJsonObject } from '../json.ts'
import type { ChangeRequest } from '../model/change.ts'
import type { AnyResource } from '../model/declare.ts'
import { longerThan, sealSecrets } from '../model/params.ts'
import { nearest } from '../nearest.ts'
import { canonicalAddress, proxyType } from '../resources/conversations/address-formats.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { services } from '../resources/services/service.ts'
import { newSid, prefixOf, randomToken, type SidKind } from '../sids.ts'
import type { ApiKeyRow, ChannelRow, ContentRow } from '../storage/schema.ts'
import { accountKeys, type Keys, keysOf, type Leaf, operatorLists, type Parts, partsOfAccount, verbOf } from './format.ts'
import type { Plan, PlannedAccount, PlannedChange } from './plan.ts'
import { Problems } from './problems.ts'
import type { Seed } from './read.ts'

export interface PlanOptions {
  readonly now: number
  readonly seal: (secret: string) => string
  /** Of the first account, where they are set; null: those of the seed. */
  readonly account_sid: string | null
  readonly auth_token: string | null
}

type Json = Readonly<Record<string, unknown>>
type Params = Readonly<Record<string, unknown>>

/** Where a resource belongs. */
interface Scope {
  readonly account: NewAccount
  readonly service_sid: string | null
  readonly parents: readonly string[]
}

type Phased = PlannedChange & { readonly phase: number }

/** Returns what a seed creates. Throws a ConfigError that lists everything that is wrong with its form. */
export function planSeed({ source, value }: Seed, options: PlanOptions): Plan {
  const planner = new Planner(options)
  const [first, ...more] = planner.accounts(plain(source, value))
  if (planner.problems.some || !first) throw new ConfigError(`${source} is not a seed:`, { mistakes: planner.problems.list })
  return { accounts: [first, ...more] }
}

/** Returns the seed as JSON has it: dates as texts, and no object twice within itself. */
function plain(source: string, value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(value ?? null))
  } catch {
    throw new ConfigError(`${source} is not a seed: it contains itself`)
  }
}

type SeededChannel = { readonly [Key in keyof (typeof operatorLists)['channels']]?: string }

class Planner {
  readonly problems = new Problems()
  readonly #options: PlanOptions
  /** Each SID with the place that has it. */
  readonly #sids = new Map<string, string>()

  constructor(options: PlanOptions) {
    this.#options = options
  }

  accounts(seed: unknown): PlannedAccount[] {
    // `$schema` is for editors.
    const root = this.#object('', seed, ['accounts', '$schema'])
    const accounts = this.#list('accounts', root.accounts)
    if (root.accounts !== undefined && accounts.length === 0) this.problems.add('accounts', 'must have at least one account')
    if (isJsonObject(seed) && root.accounts === undefined) this.problems.add('', 'needs accounts')
    return accounts.map((account, i) => this.#account(`accounts[${i}]`, account, i === 0))
  }

  #account(place: string, given: unknown, isFirst: boolean): PlannedAccount {
    const { now, seal } = this.#options
    const known = [...Object.keys(accountKeys), ...Object.keys(operatorLists), ...Object.keys(partsOfAccount)]
    const value = this.#object(place, given, known)
    const texts = this.#texts(place, value, accountKeys)
    const ownSid = isFirst ? this.#options.account_sid : null
    const sid = this.#given(`${place}.sid`, texts.sid, ownSid, 'PARLEY_ACCOUNT_SID')
    if (ownSid !== null && texts.sid === undefined) this.#sids.set(ownSid, 'PARLEY_ACCOUNT_SID')
    const token = this.#given(
      `${place}.auth_token`,
      texts.auth_token,
      isFirst ? this.#options.auth_token : null,
      'PARLEY_AUTH_TOKEN',
    )
    const created = newAccount({
      sid,
      friendly_name: texts.friendly_name ?? '',
      sealedToken: seal(token ?? randomToken()),
      now,
      service_sid: texts.default_chat_service_sid,
    })
    const { account } = created
    const dates = { date_created: now, date_updated: now }
    const operator = <K extends keyof typeof operatorLists>(key: K) =>
      this.#list(`${place}.${key}`, value[key]).map((item, i) => {
        const keys: Keys = operatorLists[key]
        const at = `${place}.${key}[${i}]`
        return this.#texts(at, this.#object(at, item, Object.keys(keys)), keys)
      })
    const keys = operator('keys').map(
      ({ sid, secret, friendly_name = '' }): ApiKeyRow => ({
        sid: sid ?? newSid('apiKey', now),
        account_sid: account.sid,
        friendly_name,
        secret: seal(secret ?? randomToken()),
        policy: null,
        ...dates,
      }),
    )
    const channels = operator('channels').map(
      (given, i): ChannelRow => ({
        account_sid: account.sid,
        sid: newSid('channel', now),
        proxy_address: canonicalAddress(given.proxy_address ?? ''),
        ...this.#channel(`${place}.channels[${i}]`, given),
        ...dates,
      }),
    )
    const contents = operator('contents').map(
      ({ sid = '', friendly_name = null, variables = '{}', types = '{}' }): ContentRow => ({
        account_sid: account.sid,
        sid,
        friendly_name,
        variables,
        types,
        ...dates,
      }),
    )
    const changes = this.#parts(partsOfAccount, place, value, { account: created, service_sid: created.service.sid, parents: [] })
    const ordered = changes.toSorted((a, b) => a.phase - b.phase).map(({ place, change }) => ({ place, change }))
    return { created, keys, channels, contents, changes: ordered }
  }

  #channel(at: string, { proxy_address = '', url, kind, settings }: SeededChannel): Pick<ChannelRow, 'kind' | 'settings'> {
    const none = { kind: '', settings: '{}' }
    if (url === undefined && kind === undefined) this.problems.add(at, 'needs url')
    // What is wrong with these is said already.
    if (!proxyType(proxy_address) || (url === undefined ? kind === undefined : !isWebUrl(url))) return none
    try {
      const values = settings === undefined ? {} : { settings: parseJsonObject(settings) }
      return newChannel({ kind, url, ...values }, canonicalAddress(proxy_address), this.#options.seal)
    } catch (error) {
      if (!(error instanceof SettingError)) throw error
      this.problems.add(at, error.message)
      return none
    }
  }

  /** Returns the value of the seed or of the setting, and refuses it where they contradict each other. */
  #given(place: string, inSeed: string | undefined, setting: string | null, name: string): string | undefined {
    if (inSeed !== undefined && setting !== null && inSeed !== setting)
      this.problems.add(place, `is not that of ${name}: leave out one`)
    return inSeed ?? setting ?? undefined
  }

  #parts(parts: Parts, place: string, value: Json, scope: Scope): Phased[] {
    return Object.entries(parts).flatMap(([key, part]) => {
      const given = value[key]
      if (given === undefined || given === null) return []
      const one = (at: string, item: unknown) => this.#resource(part.resource, part.phase, part.parts, at, item, scope)
      if (part.resource.sid === null) return one(`${place}.${key}`, given)
      return this.#list(`${place}.${key}`, given).flatMap((item, i) => one(`${place}.${key}[${i}]`, item))
    })
  }

  #resource(resource: AnyResource, phase: number, parts: Parts, place: string, item: unknown, scope: Scope): Phased[] {
    const keys = keysOf(resource)
    const value = this.#object(place, item, [...Object.keys(keys), ...Object.keys(parts)])
    const { created_sid, params } = this.#paramsOf(resource, place, value, keys)
    const sid = resource.sid === null ? '' : (created_sid ?? newSid(resource.sid, this.#options.now))
    const below = scopeBelow(resource, scope, sid)
    const children = this.#parts(parts, place, value, below)
    const planned = (verb: 'create' | 'update', key: string | null, params: Params): Phased => ({
      place,
      phase,
      change: { resource: resource.name, request: this.#request(verb, resource, scope, key, sid, params) },
    })
    // It exists with its account: its entry says what is in it.
    if (resource === services && sid === scope.account.service.sid) return children
    if (resource !== conversations) return [planned(verbOf(resource), null, params), ...children]
    const { State, ...others } = params
    // Its messages would make it active again, and a closed one takes none.
    const isLater = State === 'closed' || (State !== undefined && children.length > 0)
    if (!isLater) return [planned('create', null, params), ...children]
    const { DateUpdated } = params
    return [
      planned('create', null, others),
      ...children,
      planned('update', sid, { State, ...(DateUpdated !== undefined && { DateUpdated }) }),
    ]
  }

  #request(
    verb: 'create' | 'update',
    resource: AnyResource,
    { account, service_sid, parents }: Scope,
    key: string | null,
    sid: string,
    params: Params,
  ): ChangeRequest {
    const path = { account_sid: account.account.sid, service_sid, parents, key, text: `/${resource.path}` }
    const sealed = sealSecrets(resource.params, params, this.#options.seal)
    return { verb, path, params: sealed, sid, now: this.#options.now, webhooks: false, source: 'API', quiet: true }
  }

  /** Returns the SID, if it is given, and the parameters, each parsed as that of a request. */
  #paramsOf(resource: AnyResource, place: string, value: Json, keys: Keys): { created_sid: string | undefined; params: Params } {
    const params: Record<string, unknown> = {}
    const { sid: sidLeaf, ...others } = keys
    const created_sid = sidLeaf && !('keys' in sidLeaf) ? this.#text(`${place}.sid`, value.sid, sidLeaf) : undefined
    // The default service has a name already.
    const isPresent = resource === services
    this.#addParams(place, value, others, params, isPresent)
    return { created_sid, params }
  }

  #addParams(place: string, value: Json, keys: Keys, params: Record<string, unknown>, optional: boolean): void {
    for (const [key, leaf] of Object.entries(keys)) {
      const at = `${place}.${key}`
      const given = Object.hasOwn(value, key) ? value[key] : undefined
      if ('keys' in leaf) {
        if (given !== undefined && given !== null) {
          this.#addParams(at, this.#object(at, given, Object.keys(leaf.keys)), leaf.keys, params, optional)
        }
        continue
      }
      const texts = this.#values(at, given, leaf)
      if (texts === undefined || !leaf.param) {
        if (leaf.required && !optional && given === undefined) this.problems.add(place, `needs ${key}`)
        continue
      }
      try {
        params[leaf.param.name] = leaf.param.kind.parse(texts.at(-1) ?? '', texts)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        this.problems.add(at, `is refused: ${error.message} (${leaf.param.kind.kind})`)
      }
    }
  }

  /** Returns values that are no parameters, as texts. */
  #texts<K extends Keys>(place: string, value: Json, keys: K): { readonly [Key in keyof K]?: string } {
    const texts: { [Key in keyof K]?: string } = {}
    for (const [key, leaf] of Object.entries(keys)) {
      if ('keys' in leaf) continue
      const text = this.#text(`${place}.${key}`, Object.hasOwn(value, key) ? value[key] : undefined, leaf)
      if (text !== undefined) Object.assign(texts, { [key]: text })
      else if (leaf.required) this.problems.add(place, `needs ${key}`)
    }
    return texts
  }

  #text(at: string, given: unknown, leaf: Leaf): string | undefined {
    const text = this.#values(at, given, leaf)?.[0]
    if (text === undefined) return undefined
    if (leaf.sid) return this.#sid(at, text, leaf.sid)
    if (leaf.pattern && !leaf.pattern.test(text)) this.problems.add(at, `must be ${leaf.description.split(';')[0]}`)
    if (leaf.type === 'object' && !parseJsonObject(text)) this.problems.add(at, 'must be an object')
    if (leaf.type === 'address' && !proxyType(text))
      this.problems.add(at, 'must be an address of a known format, such as +15557654321')
    if (leaf.type === 'url' && !isWebUrl(text)) this.problems.add(at, 'must be an http or https URL')
    if (leaf.type === 'text' && longerThan(256, text)) this.problems.add(at, 'must have at most 256 characters')
    if (text.includes('\0') || !text.isWellFormed())
      this.problems.add(at, 'must not contain a NUL character or an unpaired surrogate')
    return text
  }

  #sid(at: string, sid: string, kind: SidKind): string {
    if (!isSeedSid(kind, sid)) this.problems.add(at, `must be ${prefixOf(kind)} and 32 lower-case hex digits`)
    const other = this.#sids.get(sid)
    if (other !== undefined && !isEntryOfDefault(at, other)) this.problems.add(at, `is the SID of ${other}, too`)
    this.#sids.set(sid, at)
    return sid
  }

  /** Returns what is given as the texts of a form; undefined when nothing is, or something else. */
  #values(at: string, given: unknown, { type, scalar }: Leaf): string[] | undefined {
    if (given === undefined || given === null) return undefined
    if ((type === 'json' || type === 'object') && typeof given === 'object') return [JSON.stringify(given)]
    const all = type === 'texts' ? [given].flat() : [given]
    const isJson = type === 'json' && ['number', 'boolean'].includes(typeof given)
    if (isJson || all.every((one) => typeof one === 'string' || typeof one === scalar)) return all.map(String)
    const form = type === 'texts' ? 'a list of texts' : scalar ? `a ${scalar} or a text` : 'a text'
    const looks = all.some((one) => typeof one === 'number' || typeof one === 'boolean')
    this.problems.add(at, `must be ${form}${looks ? ': put it in quotes' : ''}`)
    return undefined
  }

  /** Returns an object with no other than the known keys. */
  #object(place: string, given: unknown, known: readonly string[]): Json {
    if (!isJsonObject(given)) {
      this.problems.add(place, 'must be an object')
      return {}
    }
    for (const key of Object.keys(given)) {
      if (known.includes(key)) continue
      const meant = nearest(key, known)
      this.problems.add(
        place,
        `has the unknown key ${key}${meant ? `: ${meant} may be meant` : `; known are ${known.join(', ')}`}`,
      )
    }
    return given
  }

  #list(place: string, given: unknown): readonly unknown[] {
    if (given === undefined || given === null) return []
    if (Array.isArray(given)) return given
    this.problems.add(place, 'must be a list')
    return []
  }
}

/** As SIDs are made, and as PARLEY_ACCOUNT_SID is: requests find them in this letter case only. */
function isSeedSid(kind: SidKind, text: string): boolean {
  return text.startsWith(prefixOf(kind)) && /^[0-9a-f]{32}$/.test(text.slice(prefixOf(kind).length))
}

/** Whether a SID is in one place that of an account's default service, and in the other that of its entry among the services. */
function isEntryOfDefault(at: string, other: string): boolean {
  const [account = ''] = other.split('.')
  return (
    other === `${account}.default_chat_service_sid` && at.startsWith(`${account}.services[`) && /^[^.]+\.[^.]+\.sid$/.test(at)
  )
}

/** Returns where the rows below one belong. */
function scopeBelow(resource: AnyResource, scope: Scope, sid: string): Scope {
  if (resource === services) return { ...scope, service_sid: sid, parents: [] }
  return resource === conversations ? { ...scope, parents: [sid] } : scope
}

function isWebUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
}
