import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { filtersOf, formOf, type Parameter, routesOf, starred } from '../scripts/reference.ts'
import { eventTypes } from '../src/events/names.ts'
import type { AnyResource } from '../src/model/declare.ts'
import { conversationWithParticipants } from '../src/resources/conversation-with-participants.ts'
import { conversations } from '../src/resources/conversations/conversation.ts'
import { resources } from '../src/resources/index.ts'
import { type Keys, officialOperations } from './support/contract.ts'

/** What Parley declares of one method and path. */
interface Declared {
  readonly form: readonly Parameter[]
  readonly query: readonly Parameter[]
  readonly list: AnyResource['list']
}

const folder = new URL('../src/resources/', import.meta.url)
const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ url: new URL(file, folder), text: readFileSync(new URL(file, folder), 'utf8') }))

/** Every list takes them, so no resource declares them. */
const paging = ['PageSize', 'Page', 'PageToken']

/** Differences that are kept on purpose, and why. */
const kept = {
  'form State initializing': 'a request cannot ask for this state; only the filter of the list takes the word',
  'form MessagingBinding.Type is not official': 'mail participants have it (observed in use)',
  'form MessagingBinding.Level is not official': 'mail participants have it (observed in use)',
  'form MessagingBinding.Name is not official': 'mail participants have it (observed in use)',
}

/** Operations that messages link to, and callers use, without an official description. */
const additional = [
  'GET /Conversations/*/Messages/*/ChannelMetadata',
  'GET /Services/*/Conversations/*/Messages/*/ChannelMetadata',
]

const declared = new Map<string, Declared>([
  ...resources.flatMap((resource) =>
    routesOf(resource).map(({ method, path, verb }): [string, Declared] => [
      `${method} ${path}`,
      {
        form: formOf(resource).flatMap((parameter) => readOn(verb, parameter)),
        query: verb === 'list' ? filtersOf(resource) : [],
        list: verb === 'list' ? resource.list : undefined,
      },
    ]),
  ),
  ...['', '/Services/*'].map((prefix): [string, Declared] => [
    `${conversationWithParticipants.method} ${prefix}${conversationWithParticipants.path}`,
    // It reads the form of a conversation, and the participants of it.
    {
      form: [
        ...formOf(conversations).flatMap((parameter) => readOn('create', parameter)),
        { name: 'Participant', kind: 'JSON object; may be repeated', verbs: ['create'], required: [] },
      ],
      query: [],
      list: undefined,
    },
  ]),
])

const official = new Map(officialOperations().map((operation) => [`${operation.method} ${starred(operation.path)}`, operation]))

function readOn(verb: Parameter['verbs'][number], parameter: Parameter): Parameter[] {
  const { verbs, required } = parameter
  return verbs.includes(verb) ? [{ ...parameter, verbs: [verb], required: required.filter((each) => each === verb) }] : []
}

test('every official method and path is declared, and no other', () => {
  expect([...declared.keys()].toSorted()).toEqual([...official.keys(), ...additional].toSorted())
})

test('every parameter is an official one, required where it officially is, with the official words', () => {
  const found = [...official].flatMap(([key, { parameters }]) => {
    const { form, query } = declared.get(key) as Declared
    const filters = Object.fromEntries(Object.entries(parameters.query).filter(([name]) => !paging.includes(name)))
    return [...differences('form', parameters.form, form), ...differences('query', filters, query)].map((each) => [key, each])
  })
  expect(found.filter(([, difference = '']) => !(difference in kept))).toEqual([])
  // What is no difference any more is not to be excused.
  expect(Object.keys(kept).filter((each) => !found.some(([, difference]) => difference === each))).toEqual([])
})

test('every list has its official key, and pages that are at least as large', () => {
  const lists = [...official].filter(([, operation]) => operation.list !== undefined)
  expect(lists.length).toBeGreaterThan(10)
  for (const [key, operation] of lists) {
    const list = declared.get(key)?.list
    expect(list?.key, key).toBe(operation.list)
    expect(list?.max, key).toBeGreaterThanOrEqual(operation.parameters.query.PageSize?.maximum ?? 0)
  }
})

test('what is required, and only that, is said to be', () => {
  const all = resources.flatMap(formOf)
  const required = all.filter((parameter) => parameter.required.length > 0)
  expect(all.length).toBeGreaterThan(90)
  expect(required.map(({ name, required }) => `${name} ${required}`)).toEqual([
    'Type create',
    'Address create',
    'Target create',
    'Identity create',
    'FriendlyName create',
    'Type create',
    'Permission create,update',
    'FriendlyName create',
    'Type create',
  ])
})

test('every post-action event is declared by the one resource that emits it', () => {
  const declared = resources.flatMap(({ events }) => events?.emits ?? [])
  expect(declared.toSorted()).toEqual(eventTypes.filter((type) => type.endsWith('ed')).toSorted())
  const emitting = resources.filter(({ events }) => events)
  const files = sources.filter(({ text }) => text.includes('    emits: ['))
  expect(files).toHaveLength(emitting.length)
  for (const { name, events } of emitting) {
    const file = files.find(({ text }) => text.includes(`name: '${name}'`))
    // What `after` returns stands in the file once more, or in one for the state alone.
    const besides = file && new URL('state-events.ts', file.url).href
    const source = `${file?.text}${sources.find(({ url }) => url.href === besides)?.text ?? ''}`
    const named = Map.groupBy(
      [...source.matchAll(/'(on[A-Z]\w+ed)'/g)].map(([, type]) => type),
      (type) => type,
    )
    expect([...named.keys()].toSorted(), name).toEqual(events?.emits.toSorted())
    expect(
      [...named.values()].filter((places) => places.length < 2),
      name,
    ).toEqual([])
  }
})

/** In which names, required ones and words the two differ. */
function differences(part: string, theirs: Keys, ours: readonly Parameter[]): string[] {
  const names = new Set([...Object.keys(theirs), ...ours.map(({ name }) => name)])
  return [...names].flatMap((name) => {
    const [shape, parameter] = [theirs[name], ours.find((each) => each.name === name)]
    if (!shape) return [`${part} ${name} is not official`]
    if (!parameter) return [`${part} ${name} is not declared`]
    const required = Boolean(shape.required) !== parameter.required.length > 0 ? [`${part} ${name} required`] : []
    // Words are taken in any letter case.
    const words = parameter.kind.toLowerCase().split(/[^\w-]+/)
    const unknown = (shape.enum ?? shape.items?.enum ?? []).filter((word) => !words.includes(word.toLowerCase()))
    return [...required, ...unknown.map((word) => `${part} ${name} ${word}`)]
  })
}
