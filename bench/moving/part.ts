import { join } from 'node:path'
import { type Goal, heading, table } from '../../reports/report.ts'
import { newPopulation } from '../population.ts'
import { run } from './command.ts'
import { fillLike, patternLength } from './filled.ts'
import { byFile, overTheApi } from './legs.ts'
import { Notes } from './notes.ts'
import { butSettings, type Engine, type Moving, newPlace, type Source } from './places.ts'
import { messagesEach, recordLines, writeRecords } from './records.ts'

const nowMs = Date.now()
/** From more conversations the import into an empty database is timed where they arrive only: it takes half an hour. */
const importedTwice = 50_000

/**
 * Moves an installation: it is read over its API, as a hosted account, and exported to a file, and stored elsewhere while commands and
 * servers are killed again and again. What comes out is compared line by line with what was put in.
 */
export async function movingPart(moving: Moving): Promise<Goal[]> {
  const notes = new Notes()
  for (const engine of moving.engines) {
    const source = await newSource(moving, engine, notes)
    for (const to of moving.engines) {
      if (moving.legs.has('api')) await overTheApi(moving, source, to, notes)
      if (moving.legs.has('file')) await byFile(moving, source, to, notes)
    }
  }
  console.log(heading(`Moving ${moving.conversations.toLocaleString('en-US')} conversations of ${messagesEach} messages`))
  console.log(table(['what', 'lines/s', 's', 'memory MB', 'pages of files MB'], notes.rows))
  console.log(table(['requests a conversation', ''], notes.requests))
  return notes.goals
}

/** Imports a population from a file. On SQLite, unless files are to be measured, or of a large one only its pattern: the others are put in directly. */
async function newSource(moving: Moving, engine: Engine, notes: Notes): Promise<Source> {
  const { conversations, folder } = moving
  const population = newPopulation(conversations, nowMs)
  const all = () => recordLines(population, nowMs)
  const isFilled =
    engine === 'sqlite' && conversations > patternLength && (!moving.legs.has('file') || conversations > importedTwice)
  const place = await newPlace(moving, engine, `first-${engine}`, { PARLEY_SEARCH: isFilled ? 'false' : 'true' })
  let lines = 0
  for (const line of all()) if (butSettings(line)) lines++
  const source = { ...place, lines, population: all }
  const file = join(folder, `${engine}.jsonl`)
  if (isFilled) {
    await writeRecords(file, recordLines(population, nowMs, patternLength))
    await run(['import', '--from', file], place.settings)
    const startMs = performance.now()
    fillLike(join(place.folder, 'parley.db'), patternLength, population)
    console.error(`moving: ${lines} lines put into the database in ${Math.round((performance.now() - startMs) / 1000)} s`)
    return source
  }
  await writeRecords(file, all())
  notes.took(`${engine}: import of a file, into an empty database`, lines, await run(['import', '--from', file], place.settings))
  notes.took(`${engine}: import of it again: nothing changes`, lines, await run(['import', '--from', file], place.settings))
  return source
}
