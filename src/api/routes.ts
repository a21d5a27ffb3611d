import type { FastifyInstance, FastifyRequest } from 'fastify'
import { refuse } from '../errors.ts'
import type { AnyResource } from '../model/declare.ts'
import { emptyForm, type Form, parseForm } from '../model/form.ts'
import { ancestorsOf, familyOf } from '../model/scope.ts'
import { type Call, fetch, list, write } from './requests.ts'
import { baseOf, paramsOf, pathOf, queryOf, respond, sendError } from './respond.ts'
import type { Handler, HttpOptions, Path, Surface } from './surface.ts'

/** The resources and operations: forms in, JSON out. */
export function wire(options: HttpOptions): Surface {
  return {
    prepare(request) {
      // One that cannot be parsed is not a form either.
      if (!isForm(request.headers['content-type'])) request.headers['content-type'] = 'application/octet-stream'
    },
    routes(v1) {
      v1.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
        done(null, body),
      )
      // observed: a JSON body is not read, its parameters count as absent. The same for any other that is not a form.
      v1.addContentTypeParser('*', { parseAs: 'string' }, (_request, _body, done) => done(null, ''))
      // The framework takes a known path with another verb for an unknown path; a route for each verb would be thousands.
      v1.setNotFoundHandler((request) => {
        const path = pathOf(request)
        throw v1.known.some((url) => url.test(path)) ? refuse('methodNotAllowed') : refuse('notFound', { path })
      })
      for (const { url, methods } of merged([
        ...options.resources.flatMap((r) => paths(r, options)),
        ...operationPaths(options),
      ])) {
        mount(v1, url, methods)
      }
    },
  }
}

/** A url with its methods; any other verb is refused there. */
export function mount(v1: FastifyInstance, url: string, methods: Path['methods']): void {
  for (const [method, handler] of Object.entries(methods)) v1.route({ method, url, handler })
  v1.route({ method: 'OPTIONS', url, handler: (request, reply) => respond(request, reply, 204, null) })
  v1.known.push(new RegExp(`^${url.replace(/:\w+/g, '[^/]+')}$`))
}

/** Where a resource answers, in each family that has it, and what each verb does. */
function paths(resource: AnyResource, options: HttpOptions): Path[] {
  const family = familyOf(resource)
  const ancestors = ancestorsOf(resource)
  const tail = `${ancestors.map((parent, i) => `/${parent.path}/:parent${i}`).join('')}/${resource.path}`
  return rootsOf(family).flatMap(({ root, family }) => {
    const call = (request: FastifyRequest) => callOf(request, resource, family, ancestors.length, options.public_url)
    const { pipeline, log } = options
    const answer = (status: number, work: (call: Call) => Promise<string | null> | string): Handler => {
      return (request, reply) => {
        const body = work(call(request))
        if (typeof body === 'string') return respond(request, reply, status, body)
        body.then(
          (text) => respond(request, reply, status, text),
          (error: unknown) => sendError(request, reply, error, log),
        )
      }
    }
    const instance: Path['methods'] = {
      ...((!resource.view || resource.view.find) && { GET: answer(200, (asked) => fetch(pipeline, asked)) }),
      ...(resource.update && { POST: answer(200, (asked) => write(pipeline, 'update', asked)) }),
      ...(resource.remove && { DELETE: answer(204, (asked) => write(pipeline, 'remove', asked)) }),
    }
    if (resource.sid === null) return [{ url: root + tail, methods: instance }]
    const collection: Path['methods'] = {
      ...(resource.list && { GET: answer(200, (asked) => list(pipeline, asked)) }),
      ...(resource.create && { POST: answer(201, (asked) => write(pipeline, 'create', asked)) }),
    }
    return [
      { url: root + tail, methods: collection },
      { url: `${root}${tail}/:key`, methods: instance },
    ]
  })
}

/** What goes before a path, in each family that has it. */
function rootsOf(family: ReturnType<typeof familyOf>): { root: string; family: Call['family'] }[] {
  return [
    ...(family === 'only service' ? [] : [{ root: '', family: 'default' as const }]),
    ...(family === 'account' ? [] : [{ root: '/Services/:service', family: 'service' as const }]),
  ]
}

/** Operations that no resource declares. */
function operationPaths({ operations, pipeline, public_url, log }: HttpOptions): Path[] {
  return operations.flatMap(({ path, method, resource, run }) =>
    rootsOf(familyOf(resource)).map(({ root, family }) => {
      const handler: Handler = (request, reply) => {
        run(pipeline, callOf(request, resource, family, 0, public_url)).then(
          ({ status, body }) => respond(request, reply, status, body),
          (error: unknown) => sendError(request, reply, error, log),
        )
      }
      return { url: root + path, methods: { [method]: handler } }
    }),
  )
}

function merged(all: readonly Path[]): Path[] {
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
  public_url: string | null,
): Call {
  const params = paramsOf(request)
  return {
    resource,
    family,
    base: baseOf(request, public_url),
    path: {
      account_sid: request.account_sid,
      service_sid: params.service ?? null,
      parents: depth === 0 ? [] : Array.from({ length: depth }, (_, i) => params[`parent${i}`] ?? ''),
      key: params.key ?? null,
      text: pathOf(request),
    },
    query: queryOf(request),
    body: bodyOf(request),
    webhooks: isTrue(request.headers['x-twilio-webhook-enabled']),
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
