import type { Goal } from '../../reports/report.ts'
import type { Options } from '../options.ts'
import { type Server, startServer } from '../postgres/server.ts'
import { movingPart } from './part.ts'
import type { Engine } from './places.ts'

/** Moves between the engines that were asked for, else on that of the bench. `running`: its server, if it is for PostgreSQL. */
export async function moving(options: Options, folder: string, running: Server | null): Promise<Goal[]> {
  const { moved: conversations, legs, kills_within, engines = [running ? 'postgres' : 'sqlite'] } = options
  const server = running ?? (engines.includes('postgres') ? await startServer('postgres', folder) : null)
  const newDatabase = async (engine: Engine, name: string) =>
    engine === 'postgres' && server ? server.create() : `sqlite:${folder}/${name}/parley.db`
  try {
    return await movingPart({ conversations, legs, engines, kills_within, folder, newDatabase })
  } finally {
    if (server !== running) await server?.stop()
  }
}
