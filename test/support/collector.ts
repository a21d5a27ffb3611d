import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { expect } from 'vitest'

/** A span as a collector is sent it: OTLP over HTTP in JSON. */
export interface CollectedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: Readonly<Record<string, string | number>>
  /** 2: failed. */
  readonly status: { readonly code?: number }
}

export interface Collector extends AsyncDisposable {
  readonly url: string
  readonly spans: CollectedSpan[]
  /** The attributes of the process that sent the last spans. */
  readonly resource: () => Readonly<Record<string, string | number>>
  /** The only span of this name; waits until it is there. */
  one(name: string): Promise<CollectedSpan>
  /** Everything that arrived, as text. */
  readonly text: () => string
}

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: number | string }
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<CollectedSpan, 'attributes'> & { attributes: Attribute[] })[]
    }[]
  }[]
}

/** Receives what the official exporter sends, on a port of its own. */
export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = []
  let resource: Record<string, string | number> = {}
  let text = ''
  const server = createServer((request, response) => {
    json(request).then((body) => {
      text += JSON.stringify(body)
      expect(request.method).toBe('POST')
      expect(request.url).toBe('/v1/traces')
      // What the specification of OTLP has; a span that is missing a part fails where it is looked at.
      for (const { resource: of, scopeSpans } of (body as Export).resourceSpans) {
        resource = factsOf(of.attributes)
        for (const scope of scopeSpans) {
          spans.push(...scope.spans.map((span) => ({ ...span, attributes: factsOf(span.attributes) })))
        }
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    resource: () => resource,
    text: () => text,
    async one(name) {
      await expect.poll(() => spans.filter((span) => span.name === name)).toHaveLength(1)
      return spans.find((span) => span.name === name) as CollectedSpan
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await once(server.close(), 'close')
    },
  }
}

function factsOf(attributes: readonly Attribute[]): Record<string, string | number> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue ?? Number.NaN)]))
}
