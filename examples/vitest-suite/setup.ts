import type { TestProject } from 'vitest/node'
// In a project of your own: 'parley-server/testing'.
import { type Connection, startParley } from '../../src/testing.ts'

declare module 'vitest' {
  interface ProvidedContext {
    parley: Connection
  }
}

/** Starts one Parley for the whole run; the function that it returns stops it after the last test. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const parley = await startParley()
  project.provide('parley', parley.connection)
  return () => parley.stop()
}
