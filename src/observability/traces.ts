import type { Logger } from 'pino'
import { packageVersion } from '../package.ts'
import type { Tracer } from '../trace.ts'

export interface Traces extends Tracer {
  /** Sends what has not been sent; gives up after `closeTimeoutMs`. */
  close(): Promise<void>
}

const closeTimeoutMs = 2000
const exportTimeoutMs = 10_000
/** A collector that is away for a day is no reason for a thousand lines. */
const warnIntervalMs = 60_000

/** Whether the standard variables of OpenTelemetry name a collector, and do not switch it off. */
export function hasCollector(env: NodeJS.ProcessEnv): boolean {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || env.OTEL_TRACES_EXPORTER === 'none') return false
  return Boolean(env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
}

/**
 * Sends spans to a collector by OTLP over HTTP, in the background: what it cannot take is dropped. The exporter reads the standard
 * variables (`OTEL_EXPORTER_OTLP_…`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`) itself. `node`: names this process.
 */
export async function openTraces({
  log,
  node,
  env = process.env,
}: {
  log: Logger
  node: string
  env?: NodeJS.ProcessEnv
}): Promise<Traces> {
  const [{ ROOT_CONTEXT, SpanKind, SpanStatusCode, trace }, core, resources, sdk, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/core'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ])
  const exporter = new OTLPTraceExporter({ timeoutMillis: exportTimeoutMs })
  const warn = warner(log)
  const own = { 'service.name': 'parley', 'service.version': packageVersion(), 'service.instance.id': node }
  const provider = new sdk.TracerProvider({
    resource: resources
      .defaultResource()
      .merge(resources.resourceFromAttributes(own))
      .merge(resources.detectResources({ detectors: [resources.envDetector] })),
    sampler: samplerOf(sdk, env),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: {
          export: (spans, done) =>
            exporter.export(spans, (result) => {
              if (result.code !== core.ExportResultCode.SUCCESS) warn(result.error)
              done(result)
            }),
          shutdown: () => exporter.shutdown(),
          forceFlush: () => exporter.forceFlush(),
        },
        exportTimeoutMillis: exportTimeoutMs,
        scheduledDelayMillis: core.getNumberFromEnv('OTEL_BSP_SCHEDULE_DELAY') ?? 5000,
      }),
    ],
  })
  const tracer = provider.getTracer('parley', packageVersion())
  const kinds = { server: SpanKind.SERVER, internal: SpanKind.INTERNAL, client: SpanKind.CLIENT }
  return {
    start(name, kind, parent, facts) {
      const given = parent === undefined ? null : core.parseTraceParent(parent)
      const context = given ? trace.setSpanContext(ROOT_CONTEXT, { ...given, isRemote: kind === 'server' }) : ROOT_CONTEXT
      const span = tracer.startSpan(name, { kind: kinds[kind], attributes: facts }, context)
      const { traceId, spanId, traceFlags } = span.spanContext()
      return {
        traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
        end: (last, failed) => {
          span.setAttributes(last)
          if (failed) span.setStatus({ code: SpanStatusCode.ERROR })
          span.end()
        },
      }
    },
    async close() {
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, closeTimeoutMs).unref())
      // Why spans could not be sent has been logged.
      await Promise.race([timeout, provider.shutdown().catch(() => {})])
    },
  }
}

/** The sampler of `OTEL_TRACES_SAMPLER`: by default every trace, unless the caller has decided otherwise. */
function samplerOf(sdk: typeof import('@opentelemetry/sdk-trace'), env: NodeJS.ProcessEnv) {
  const name = env.OTEL_TRACES_SAMPLER ?? 'parentbased_always_on'
  const ratio = Number(env.OTEL_TRACES_SAMPLER_ARG ?? '1')
  const root = name.endsWith('always_off')
    ? new sdk.AlwaysOffSampler()
    : name.endsWith('traceidratio') && ratio >= 0 && ratio <= 1
      ? new sdk.TraceIdRatioBasedSampler(ratio)
      : new sdk.AlwaysOnSampler()
  return name.startsWith('parentbased_') ? new sdk.ParentBasedSampler({ root }) : root
}

function warner(log: Logger): (err: Error | undefined) => void {
  let last = Number.NEGATIVE_INFINITY
  return (err) => {
    if (performance.now() - last < warnIntervalMs) return
    last = performance.now()
    log.warn({ err }, 'traces could not be sent, and are dropped')
  }
}
