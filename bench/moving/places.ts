import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { SettingTexts } from '../../src/config.ts'
import { end, serve } from '../command.ts'
import { account_sid, auth_token } from '../workload.ts'
import { type Ran, run } from './command.ts'
import { type Compared, compare } from './compare.ts'

export const engines = ['sqlite', 'postgres'] as const
export type Engine = (typeof engines)[number]

/** The ways to move: what is read over the API, and a file. */
export const legs = ['api', 'file'] as const
export type Leg = (typeof legs)[number]

export interface Moving {
  readonly conversations: number
  readonly legs: ReadonlySet<Leg>
  /** Each of them is moved to each of them. */
  readonly engines: readonly Engine[]
  /** The share of a file that has been stored when the last process is killed. */
  readonly kills_within: number
  readonly folder: string
  /** Where an installation has its database; several share a server of PostgreSQL. */
  readonly newDatabase: (engine: Engine, name: string) => Promise<string>
}

interface Place {
  readonly engine: Engine
  readonly settings: SettingTexts
  readonly folder: string
}

/** An installation that is left. */
export interface Source extends Place {
  readonly lines: number
  /** Yields what it has, as an export writes it but for settings, of which it has more. */
  readonly population: () => Iterable<Json>
}

export type Json = Readonly<Record<string, unknown>>

/** The first start creates the account. */
export async function newPlace(
  { folder, newDatabase }: Moving,
  engine: Engine,
  name: string,
  others: SettingTexts = {},
): Promise<Place> {
  const dataDir = join(folder, name)
  mkdirSync(dataDir)
  const settings = {
    PARLEY_DATABASE_URL: await newDatabase(engine, name),
    PARLEY_DATA_DIR: dataDir,
    PARLEY_ACCOUNT_SID: account_sid,
    PARLEY_AUTH_TOKEN: auth_token,
    ...others,
  }
  await end(await serve(settings), 'SIGTERM')
  return { engine, settings, folder: dataDir }
}

/** Exports a place and compares it with what its source has. */
export async function compareExport(
  place: Place,
  source: Source,
  comparable: (line: Json) => Json = (line) => line,
): Promise<{ readonly exported: Ran; readonly compared: Compared; readonly file: string }> {
  const file = join(place.folder, 'export.jsonl')
  // From one that went to another engine.
  rmSync(file, { force: true })
  const exported = await run(['export', '--account', account_sid, '--out', file], place.settings)
  const shown = (line: Json) => {
    const compared = butSettings(line)
    return compared && comparable(compared)
  }
  return { exported, file, compared: await compare(source.population(), file, shown) }
}

const settings = ['configuration', 'notification', 'webhook', 'header', 'end']

/** The population says no more of settings than it has to. */
export function butSettings(line: Json): Json | null {
  return settings.includes(String(line.kind)) ? null : line
}
