import { fetch, list, type Pipeline } from '../api/requests.ts'
import { ApiError } from '../errors.ts'
import { isJsonObject, parseJsonObject } from '../json.ts'
import type { AnyResource } from '../model/declare.ts'
import { emptyForm, formOf, parseForm } from '../model/form.ts'
import { familyOf } from '../model/scope.ts'
import type { Json } from '../records/format.ts'

/** Where rows of a resource are. */
export interface Place {
  readonly resource: AnyResource
  readonly service: string | null
  readonly parents?: readonly string[]
}

const pageSize = '100'

/** Reads what is here, as the API shows it. */
export class LocalReader {
  readonly #pipeline: Pipeline
  readonly #account_sid: string

  constructor(pipeline: Pipeline, account_sid: string) {
    this.#pipeline = pipeline
    this.#account_sid = account_sid
  }

  /** Returns a row, or the only one there is; null where it is not here. */
  async row(place: Place, key: string | null): Promise<Json | null> {
    try {
      return parseJsonObject(await fetch(this.#pipeline, this.#call(place, key))) ?? null
    } catch (error) {
      if (isNotFound(error)) return null
      throw error
    }
  }

  /** Returns all rows of a list; none where what it is of is not here. `query`: filters. */
  async *rows(place: Place, query: Readonly<Record<string, string>> = {}): AsyncGenerator<Json> {
    let form = formOf({ PageSize: pageSize, ...query })
    for (;;) {
      const page = await this.#page(place, form)
      if (!page) return
      const { meta, [String(place.resource.list?.key)]: rows } = page
      if (Array.isArray(rows)) yield* rows.filter(isJsonObject)
      const next = isJsonObject(meta) ? meta.next_page_url : null
      if (typeof next !== 'string') return
      form = parseForm(next.slice(next.indexOf('?') + 1))
    }
  }

  async #page(place: Place, query: typeof emptyForm): Promise<Json | null> {
    try {
      return parseJsonObject(await list(this.#pipeline, { ...this.#call(place, null), query })) ?? null
    } catch (error) {
      if (isNotFound(error)) return null
      throw error
    }
  }

  #call({ resource, service, parents = [] }: Place, key: string | null) {
    const isOfAccount = familyOf(resource) === 'account'
    const service_sid = isOfAccount ? null : service
    // No request has this text: what is kept of it in memory is nobody else's.
    const text = ['', 'mirror', resource.name, service_sid, ...parents, key].join('/')
    return {
      resource,
      family: isOfAccount ? ('default' as const) : ('service' as const),
      path: { account_sid: this.#account_sid, service_sid, parents, key, text },
      base: '',
      query: emptyForm,
      body: emptyForm,
      webhooks: false,
    }
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.kind === 'notFound'
}
