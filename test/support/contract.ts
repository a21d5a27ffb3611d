import { readFileSync } from 'node:fs'

/** What the official description tells about one value: a parameter, a key of a body, an item of an array. */
export interface Shape {
  readonly type: 'string' | 'integer' | 'boolean' | 'object' | 'array' | 'any'
  readonly format?: string
  readonly pattern?: string
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly nullable?: true
  readonly required?: true
  /** Only some of the official examples have this key. */
  readonly optional?: true
  /** The keys are known from examples alone, so others may occur as well. */
  readonly open?: true
  /** In wire order. */
  readonly keys?: Keys
  readonly items?: Shape
}

export type Keys = Readonly<Record<string, Shape>>

export interface Operation {
  readonly operationId: string
  readonly method: string
  readonly path: string
  readonly statuses: readonly number[]
  /** Names the shape of the answer, or of one item of a list; absent where the answer is empty. */
  readonly body?: string
  /** The key of the array in a list answer. */
  readonly list?: string
  readonly parameters: Readonly<Record<'path' | 'query' | 'header' | 'form', Keys>>
}

/** The file `test/contract/operations.json`, written by `scripts/contract.ts`. */
export interface Contract {
  readonly meta: Keys
  readonly bodies: Readonly<Record<string, Keys>>
  readonly operations: readonly Operation[]
}

type Json = Readonly<Record<string, unknown>>

export const contractFile = new URL('../contract/operations.json', import.meta.url)

let loaded: Contract | undefined

/** Read on first use, so that the script that writes the file can import this module before the file exists. */
function contract(): Contract {
  loaded ??= JSON.parse(readFileSync(contractFile, 'utf8')) as Contract
  return loaded
}

export function officialOperations(): readonly Operation[] {
  return contract().operations
}

/** Throws one error that lists everything in which an answer differs from the official description. */
export function checkAnswer(method: string, pathOrUrl: string, status: number, body: unknown): void {
  const faults = status >= 400 ? errorFaults(status, body) : successFaults(method, pathOrUrl, status, body)
  if (faults.length === 0) return
  const list = faults.map((fault) => `  - ${fault}`).join('\n')
  throw new Error(`${method.toUpperCase()} ${pathOrUrl} answered ${status}, which differs from the contract:\n${list}\n`)
}

function successFaults(method: string, pathOrUrl: string, status: number, body: unknown): string[] {
  const operation = operationFor(method, pathOrUrl)
  if (!operation) return ['there is no such official operation']
  const wrongStatus = operation.statuses.includes(status) ? [] : [`status is not ${operation.statuses.join(' or ')}`]
  return [...wrongStatus, ...bodyFaults(operation, body)].map((fault) => `${operation.operationId}: ${fault}`)
}

function bodyFaults(operation: Operation, body: unknown): string[] {
  const { bodies, meta } = contract()
  if (operation.body === undefined) return isEmpty(body) ? [] : [`body must be empty, is ${show(body)}`]
  const keys = bodies[operation.body]
  if (!keys) return [`the contract lacks ${operation.body}`]
  return operation.list === undefined ? objectFaults(keys, body, 'body') : listFaults(operation.list, keys, meta, body)
}

/** The order of `meta` and the array is free: the official examples have both. */
function listFaults(list: string, item: Keys, meta: Keys, body: unknown): string[] {
  if (!isObject(body)) return [`body must be an object, is ${show(body)}`]
  const names = [list, 'meta']
  const faults = Object.keys(body).flatMap((name) => (names.includes(name) ? [] : [`body.${name} is not official`]))
  for (const name of names) if (!(name in body)) faults.push(`body.${name} is missing`)
  const shapes: Keys = { meta: { type: 'object', keys: meta }, [list]: { type: 'array', items: { type: 'object', keys: item } } }
  for (const name of names) if (name in body) faults.push(...valueFaults(shapes[name], body[name], `body.${name}`))
  if (isObject(body.meta) && body.meta.key !== list) faults.push(`body.meta.key must be "${list}", is ${show(body.meta.key)}`)
  return faults
}

function objectFaults(keys: Keys, value: unknown, at: string): string[] {
  if (!isObject(value)) return [`${at} must be an object, is ${show(value)}`]
  const faults: string[] = []
  for (const [name, shape] of Object.entries(keys)) {
    if (name in value) faults.push(...valueFaults(shape, value[name], `${at}.${name}`))
    else if (!shape.optional) faults.push(`${at}.${name} is missing`)
  }
  for (const name of Object.keys(value)) if (!(name in keys)) faults.push(`${at}.${name} is not official`)
  return [...faults, ...orderFaults(Object.keys(keys), Object.keys(value), at)]
}

/** Missing and extra keys are told elsewhere, so only the common ones are compared. */
function orderFaults(official: string[], actual: string[], at: string): string[] {
  const wanted = official.filter((name) => actual.includes(name))
  const found = actual.filter((name) => official.includes(name))
  return wanted.join() === found.join() ? [] : [`${at} has its keys in the order ${found.join()}, official is ${wanted.join()}`]
}

function valueFaults(shape: Shape | undefined, value: unknown, at: string): string[] {
  if (!shape || shape.type === 'any') return []
  if (value === null) return shape.nullable && !isLinks(shape) ? [] : [`${at} must not be null`]
  if (!hasType(shape.type, value)) return [`${at} must be of type ${shape.type}, is ${show(value)}`]
  if (Array.isArray(value)) return value.flatMap((item, index) => valueFaults(shape.items, item, `${at}[${index}]`))
  if (shape.type === 'object') return shape.open || !shape.keys ? [] : objectFaults(shape.keys, value, at)
  return typeof value === 'string' ? textFaults(shape, value, at) : []
}

/** Declared nullable like nearly everything, yet clients follow the links, and every official example has them all. */
function isLinks(shape: Shape): boolean {
  return shape.format === 'uri-map'
}

const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

function textFaults(shape: Shape, value: string, at: string): string[] {
  if (shape.enum && !shape.enum.includes(value)) return [`${at} must be one of ${shape.enum.join()}, is ${show(value)}`]
  if (shape.pattern && !new RegExp(shape.pattern).test(value)) return [`${at} must match ${shape.pattern}, is ${show(value)}`]
  if (shape.format === 'date-time' && !dateTime.test(value)) return [`${at} must be like 2026-01-31T23:59:59Z, is ${show(value)}`]
  if (shape.format === 'uri' && !/^https?:\/\//i.test(value)) return [`${at} must be an absolute URL, is ${show(value)}`]
  return []
}

function errorFaults(status: number, body: unknown): string[] {
  if (!isObject(body)) return [`error body must be an object, is ${show(body)}`]
  const keys: Keys = {
    code: { type: 'integer' },
    message: { type: 'string' },
    more_info: { type: 'string' },
    status: { type: 'integer' },
    details: { type: 'object', open: true, optional: true },
  }
  const faults = objectFaults(keys, body, 'error')
  const page = `https://www.twilio.com/docs/errors/${body.code}`
  if (body.more_info !== page) faults.push(`error.more_info must be ${page}, is ${show(body.more_info)}`)
  if (body.status !== status) faults.push(`error.status must be ${status}, is ${show(body.status)}`)
  return faults
}

/** A literal segment wins over a {Param}, so `/v1/Configuration/Webhooks` is never taken for an instance. */
function operationFor(method: string, pathOrUrl: string): Operation | undefined {
  const segments = segmentsOf(pathOrUrl.replace(/^https?:\/\/[^/]*/, '').replace(/[?#].*$/s, ''))
  return officialOperations()
    .filter((operation) => operation.method === method.toUpperCase() && matches(segmentsOf(operation.path), segments))
    .sort((a, b) => literals(b.path) - literals(a.path))[0]
}

function matches(pattern: string[], segments: string[]): boolean {
  if (pattern.length !== segments.length) return false
  return pattern.every((part, index) => (isParam(part) ? segments[index] !== '' : part === segments[index]))
}

function segmentsOf(path: string): string[] {
  return path.split('/')
}

function literals(path: string): number {
  return segmentsOf(path).filter((part) => !isParam(part)).length
}

function isParam(segment: string): boolean {
  return segment.startsWith('{')
}

function hasType(type: Shape['type'], value: unknown): boolean {
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'array') return Array.isArray(value)
  return type === 'object' ? isObject(value) : typeof value === type
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isEmpty(body: unknown): boolean {
  return body === undefined || body === null || body === ''
}

/** Long values would bury the list of faults. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
