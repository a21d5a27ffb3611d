import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type ApiError, refuse } from '../errors.ts'
import type { AnyResource } from '../model/declare.ts'
import { emptyForm, type Form, parseForm } from '../model/form.ts'
import { ancestorsOf } from '../model/scope.ts'
import type { Verb } from './key-permissions.ts'
import { operationOf, otherOperationOf, rootsOf, verbsOf } from './operations.ts'
import { baseOf } from './origin.ts'
import { type Call, fetch, list, write } from './requests.ts'
import { paramsOf, pathOf, queryOf, respond, sendError } from './respond.ts'
import type { Endpoint, Handler, HttpOptions, Path, Surface } from './surface.ts'

/** Returns the routes of the resources and operations, which take forms and return JSON. */
export function v1Routes(options: HttpOptions): Surface {
  return {
    prepare(request) {
      // Also replaces a content type that cannot be parsed.
      if (!isForm(request.headers['content-type'])) request.headers['content-type'] = 'application/octet-stream'
    },
    routes(v1) {
      v1.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
        done(null, body),
      )
      // observed: a JSON body is not read, its parameters count as absent. Any other body that is not a form is treated alike.
      v1.addContentTypeParser('*', { parseAs: 'string' }, (_request, _body, done) => done(null, ''))
      // The hook of every surface has refused such a request before its body is read.
      v1.setNotFoundHandler((request) => {
        throw noRoute(request)
      })
      for (const { url, methods } of mergePaths([
        ...options.resources.flatMap((r) => resourcePaths(r, options)),
        ...operationPaths(options),
      ])) {
        addPath(v1, url, methods)
      }
    },
  }
}

/** Fastify reports a known path with another method as not found; a route for each method would be thousands. */
export function noRoute(request: FastifyRequest): ApiError {
  const path = pathOf(request)
  return request.server.knownPaths.some((url) => url.test(path)) ? refuse('methodNotAllowed') : refuse('notFound', { path })
}

/** Adds the routes of a path; any other method is refused there. */
export function addPath(v1: FastifyInstance, url: string, methods: Path['methods']): void {
  for (const [method, { operation, permission, handler, table, read }] of Object.entries(methods)) {
    const config = {
      operation,
      ...(permission !== undefined && { permission }),
      ...(table !== undefined && { table }),
      ...(read && { read }),
    }
    v1.route({ method, url, handler, config })
    v1.operationNames.add(operation)
  }
  v1.route({ method: 'OPTIONS', url, handler: (request, reply) => respond(request, reply, 204, null) })
  for (const word of url.split('/')) if (!word.startsWith(':')) v1.pathWords.add(word)
  v1.knownPaths.push(new RegExp(`^${url.replace(/:\w+/g, '[^/]+')}$`))
}

/** Returns the paths of a resource in each of its families, with the handler of each method. */
function resourcePaths(resource: AnyResource, options: HttpOptions): Path[] {
  const ancestors = ancestorsOf(resource)
  const verbs = new Set(verbsOf(resource))
  const tail = `${ancestors.map((parent, i) => `/${parent.path}/:parent${i}`).join('')}/${resource.path}`
  return rootsOf(resource).flatMap(({ root, family }) => {
    const { pipeline, pageReader, log } = options
    const readList = (call: Call) => {
      const here = () => list(pipeline, call)
      return pageReader ? pageReader.page(call, here) : here()
    }
    const endpoint = (
      verb: Verb,
      status: number,
      run: (call: Call) => Promise<string | Uint8Array | null> | string,
    ): Endpoint => {
      const bodyFor = (request: FastifyRequest) => run(callOf(request, resource, family, ancestors.length, options.publicUrl))
      const handler: Handler = (request, reply) => {
        const body = bodyFor(request)
        if (typeof body === 'string') return respond(request, reply, status, body)
        body.then(
          (text) => respond(request, reply, status, text),
          (error: unknown) => sendError(request, reply, error, log),
        )
      }
      const isRead = verb === 'Fetch' || verb === 'List'
      const read = { read: async (request: FastifyRequest) => bodyFor(request) }
      return { ...operationOf(verb, resource, family), handler, table: resource.table, ...(isRead && read) }
    }
    const instance: Path['methods'] = {
      ...(verbs.has('Fetch') && { GET: endpoint('Fetch', 200, (call) => fetch(pipeline, call)) }),
      ...(verbs.has('Update') && { POST: endpoint('Update', 200, (call) => write(pipeline, 'update', call)) }),
      ...(verbs.has('Delete') && { DELETE: endpoint('Delete', 204, (call) => write(pipeline, 'remove', call)) }),
    }
    if (resource.sid === null) return [{ url: root + tail, methods: instance }]
    const collection: Path['methods'] = {
      ...(verbs.has('List') && { GET: endpoint('List', 200, readList) }),
      ...(verbs.has('Create') && { POST: endpoint('Create', 201, (call) => write(pipeline, 'create', call)) }),
    }
    return [
      { url: root + tail, methods: collection },
      { url: `${root}${tail}/:key`, methods: instance },
    ]
  })
}

/** Returns the paths of operations that no resource declares. */
function operationPaths({ operations, pipeline, publicUrl, log }: HttpOptions): Path[] {
  return operations.flatMap((other) =>
    rootsOf(other.resource).map(({ root, family }) => {
      const { path, method, resource, run } = other
      const handler: Handler = (request, reply) => {
        run(pipeline, callOf(request, resource, family, 0, publicUrl)).then(
          ({ status, body }) => respond(request, reply, status, body),
          (error: unknown) => sendError(request, reply, error, log),
        )
      }
      return { url: root + path, methods: { [method]: { ...otherOperationOf(other, family), handler, table: resource.table } } }
    }),
  )
}

/** Merges the methods of paths with the same url. */
function mergePaths(all: readonly Path[]): Path[] {
  const byUrl = new Map<string, Path>()
  for (const { url, methods } of all) {
    byUrl.set(url, { url, methods: { ...methods, ...byUrl.get(url)?.methods } })
  }
  return [...byUrl.values()].filter(({ methods }) => Object.keys(methods).length > 0)
}

function callOf(
  request: FastifyRequest,
  resource: AnyResource,
  family: Call['family'],
  depth: number,
  publicUrl: string | null,
): Call {
  const params = paramsOf(request)
  const trace = request.span?.traceparent
  const { default_service_sid } = request
  return {
    resource,
    family,
    base: baseOf(request, publicUrl),
    path: {
      account_sid: request.account_sid,
      service_sid: params.service ?? null,
      ...(default_service_sid !== undefined && { expected_service_sid: default_service_sid }),
      parents: depth === 0 ? [] : Array.from({ length: depth }, (_, i) => params[`parent${i}`] ?? ''),
      key: params.key ?? null,
      text: pathOf(request),
    },
    query: queryOf(request),
    body: bodyOf(request),
    webhooks: isTrue(request.headers['x-twilio-webhook-enabled']),
    ...(trace !== undefined && { trace }),
  }
}

function bodyOf(request: FastifyRequest): Form {
  return typeof request.body === 'string' ? parseForm(request.body) : emptyForm
}

function isForm(content_type: string | undefined): boolean {
  return content_type !== undefined && /^application\/x-www-form-urlencoded *(?:;|$)/i.test(content_type)
}

function isTrue(header: string | string[] | undefined): boolean {
  return typeof header === 'string' && header.toLowerCase() === 'true'
}
