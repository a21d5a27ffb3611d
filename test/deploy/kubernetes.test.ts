import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { settings } from '../../src/config.ts'
import { makeTemporaryFolder, removeTemporaryFolder } from '../../src/temporary.ts'
import { startServer } from '../support/server.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const base = join(root, 'deploy/kubernetes')

/** Validates against the schemas of Kubernetes; .ci/run installs it and names it. */
const validator = process.env.PARLEY_TEST_KUBERNETES_VALIDATE ?? 'kubernetes-validate'
const has = (command: string, ...args: string[]) => spawnSync(command, args).status === 0
const tools = has('kubectl', 'version', '--client') && has(validator, '--version')

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  // biome-ignore lint/suspicious/noExplicitAny: of each kind another; what is read of it is compared
  readonly [key: string]: any
}

/** What would be sent to the cluster: kustomize's result. */
function built(): { readonly text: string; readonly of: (kind: string) => Manifest } {
  const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', base], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const manifests = parseAllDocuments(stdout).map((document): Manifest => document.toJS())
  const of = (kind: string) => {
    const found = manifests.filter((manifest) => manifest.kind === kind)
    expect(found).toHaveLength(1)
    return found[0] as Manifest
  }
  return { text: stdout, of }
}

test.runIf(tools || process.env.CI)('the schemas of Kubernetes accept what kustomize makes, and refuse a misspelt key', () => {
  const folder = makeTemporaryFolder('parley-kubernetes-')
  try {
    const file = join(folder, 'all.yaml')
    const validate = (text: string) => {
      writeFileSync(file, text)
      const { status, stdout, stderr } = spawnSync(validator, ['--strict', file], { encoding: 'utf8' })
      return { status, passed: (stdout + stderr).match(/passed for resource/g)?.length ?? 0 }
    }
    const { text } = built()
    expect(validate(text)).toEqual({ status: 0, passed: 8 })
    for (const [right, wrong] of [
      ['minAvailable:', 'minimumAvailable:'],
      ['readinessProbe:', 'readyProbe:'],
      ['policyTypes:', 'policies:'],
      ['backoffLimit: 3', 'backoffLimit: three'],
    ] as const) {
      expect(text).toContain(right)
      expect(validate(text.replace(right, wrong)).status, wrong).not.toBe(0)
    }
  } finally {
    removeTemporaryFolder(folder)
  }
})

test.runIf(tools || process.env.CI)('the manifests fit each other, the image and the settings', async () => {
  const { of, text } = built()
  const deployment = of('Deployment')
  const pod = deployment.spec.template
  const [container] = pod.spec.containers
  const selected = (selector: Record<string, string>, labels: Record<string, string>) =>
    Object.entries(selector).every(([name, value]) => labels[name] === value)
  const { labels } = pod.metadata
  const job = of('Job').spec.template
  for (const selector of [
    deployment.spec.selector.matchLabels,
    of('Service').spec.selector,
    of('PodDisruptionBudget').spec.selector.matchLabels,
  ]) {
    expect(selected(selector, labels)).toBe(true)
    // The Job is no node: it gets no requests, and does not count as available.
    expect(selected(selector, job.metadata.labels)).toBe(false)
  }
  for (const each of [labels, job.metadata.labels]) {
    expect(selected(of('NetworkPolicy').spec.podSelector.matchLabels, each)).toBe(true)
  }
  expect(deployment.spec.replicas).toBe(2)
  expect(of('PodDisruptionBudget').spec.minAvailable).toBe(1)
  expect(of('Service').spec.ports[0].targetPort).toBe('http')

  const file = readFileSync(join(root, 'deploy/Containerfile'), 'utf8')
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const { spec } of [pod, job]) {
    expect(spec.containers[0].image).toBe(`registry.example.com/parley:${version}`)
    expect(file).toContain(`USER ${spec.securityContext.runAsUser}:${spec.securityContext.runAsGroup}`)
    expect(spec.containers[0].securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false })
  }
  expect(file).toMatch(/^ENTRYPOINT \["node", "bin\/parley.cjs"\]$/m)
  expect(container.volumeMounts[0].mountPath).toBe(/PARLEY_DATA_DIR=(\S+)/.exec(file)?.[1])

  const names = settings.map(({ env }) => env as string)
  const set = [...Object.keys(of('ConfigMap').data), ...container.env.map(({ name }: { name: string }) => name)]
  expect(set.length).toBeGreaterThan(4)
  expect(set.filter((name) => !names.includes(name))).toEqual([])
  // No secret is in a file, not even as an example.
  expect(text).not.toMatch(/kind: Secret\b|PARLEY_(SECRET_KEY|ADMIN_TOKEN|DATABASE_URL)/)

  // The probes are of paths that a server has.
  await using server = await startServer()
  for (const name of ['livenessProbe', 'startupProbe', 'readinessProbe']) {
    expect((await fetch(server.url + container[name].httpGet.path)).status).toBe(200)
  }
  expect((await fetch(server.metricsUrl + pod.metadata.annotations['prometheus.io/path'])).status).toBe(200)
})
