import { catalogue } from '../src/error-catalogue.ts'
import { checkAdminAnswer } from '../test/support/admin-contract.ts'
import { checkAnswer } from '../test/support/contract.ts'
import { type Answer, headerOf } from './answers.ts'
import type { Plan } from './plan.ts'
import { pipelinedPath } from './requests/sockets.ts'

/** What no answer may show. */
export interface Forbidden {
  readonly secrets: readonly string[]
  /** By who asks: the marks of what others have stored. */
  readonly foreign: Readonly<Record<Plan['as'], readonly string[]>>
}

/** What shows how the server is built. */
const traces = [
  /(?:\n|\\n)\s+at .+:\d+/,
  /node:internal/,
  /node_modules/,
  /SQLITE_/,
  /\bfile:\/\/\//,
  /\/src\/\w+/,
  /\.ts:\d+/,
  /duplicate key value|violates \w+ constraint|invalid input syntax|syntax error at/,
  /\b(?:TypeError|RangeError|SyntaxError|ReferenceError)\b/,
  /Cannot read propert|is not a function|is not iterable|Unexpected token/,
]

/** Too large a head has the usual code, and a status of its own. */
const known_errors = new Set([...Object.values(catalogue).map(({ code, status }) => `${code} ${status}`), '20413 431'])
/** What is refused before there is a request is refused in the vendor's form, wherever it was going. */
const parser_statuses = new Set([400, 408, 417, 431])

/** Everything that is wrong with the answers to a plan. */
export function faultsOf(plan: Plan, answers: readonly Answer[], forbidden: Forbidden): string[] {
  return [
    ...countFaults(plan, answers),
    ...orderFaults(plan, answers),
    ...answers.flatMap((answer) => answerFaults(plan, answer, forbidden)),
  ]
}

function countFaults({ answers: wanted }: Plan, { length }: readonly Answer[]): string[] {
  return wanted !== null && length > wanted ? [`${length} answers, where there must be ${wanted}`] : []
}

function orderFaults({ label }: Plan, answers: readonly Answer[]): string[] {
  if (label !== 'socket: pipelined') return []
  const wrong = answers.findIndex(({ status, body }, i) => status === 404 && pipelinedPath(body.toString()) !== i)
  return wrong === -1 ? [] : [`answer ${wrong} is out of order`]
}

function answerFaults(plan: Plan, answer: Answer, forbidden: Forbidden): string[] {
  return [
    ...statusFaults(plan, answer),
    ...leaks(plan, answer, forbidden),
    ...headerFaults(answer),
    ...(isJson(answer) || !isFile(plan, answer) ? bodyFaults(plan, answer) : []),
  ]
}

function statusFaults({ denied, method }: Plan, { status }: Answer): string[] {
  if (status >= 500) return [`status ${status}`]
  return denied && status < 400 && method !== 'OPTIONS' ? [`status ${status} without valid credentials`] : []
}

function leaks({ as, label }: Plan, { status, headers, body }: Answer, { secrets, foreign }: Forbidden): string[] {
  // The operator's program is to be run with the account's credentials.
  const handsOverToken = label === 'admin openGateway' && status === 200
  const text = `${headers.map(([name, value]) => `${name}: ${value}`).join('\n')}\n\n${body.toString()}`
  return [
    ...traces.filter((trace) => trace.test(text)).map((trace) => `the answer has ${trace}`),
    ...(handsOverToken ? [] : secrets.filter((secret) => text.includes(secret)).map(() => 'the answer has a secret')),
    ...foreign[as].filter((mark) => text.includes(mark)).map((mark) => `the answer has what is stored as ${mark}`),
  ]
}

function headerFaults(answer: Answer): string[] {
  const injected = answer.headers.some(([name]) => name === 'x-injected') ? ['a header was injected'] : []
  const once = ['content-type', 'content-length', 'twilio-request-id']
  const twice = once.filter((name) => answer.headers.filter(([given]) => given === name).length > 1)
  return [...injected, ...twice.map((name) => `${name} is there twice`)]
}

function isJson(answer: Answer): boolean {
  return /^application\/json\b/.test(headerOf(answer, 'content-type') ?? '')
}

/** Contents of uploads, metrics and pages for browsers, which a raw request may also ask for, are what they are. */
function isFile({ method, target }: Plan, answer: Answer): boolean {
  const { status, body } = answer
  if (method === 'HEAD') return true
  if (status === 302) return headerOf(answer, 'location') === '/console'
  return status < 400 && (/\/Content\b|^\/+metrics/i.test(target) || body.includes('<title>Parley</title>'))
}

/** What is disclosed of a person comes as lines. */
function isRecords({ target }: Plan, answer: Answer): boolean {
  return /\/disclosures\b/.test(target) && headerOf(answer, 'content-type') === 'application/x-ndjson'
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function bodyFaults(plan: Plan, answer: Answer): string[] {
  const { status, body } = answer
  if (plan.method === 'HEAD' || status === 204 || status === 304)
    return body.length > 0 ? ['a body where there must be none'] : []
  if (isFile(plan, answer)) return []
  if (isRecords(plan, answer)) return body.toString().trimEnd().split('\n').every(isJsonText) ? [] : ['a line that is not JSON']
  if (!isJson(answer)) return [`status ${status} with content-type ${headerOf(answer, 'content-type')}`]
  const parsed = parse(body)
  if (parsed === undefined) return ['the body is not JSON']
  return isAdmin(plan) ? adminFaults(plan, status, parsed) : apiFaults(plan, status, parsed)
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}

function isAdmin({ label, target }: Plan): boolean {
  return label.startsWith('admin ') || /^\/admin\/v1(?:\/|$)/.test(target)
}

function adminFaults({ label, method, target }: Plan, status: number, body: unknown): string[] {
  if (status >= 400 && parser_statuses.has(status) && isVendorError(status, body)) return []
  if (!label.startsWith('admin ')) return status < 400 || isOwnError(body) ? [] : [`an error of another form: ${shown(body)}`]
  return complaints(() => checkAdminAnswer(method, target.slice('/admin/v1'.length), status, body))
}

function isOwnError(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'error' in body && typeof body.error === 'string' && !('statusCode' in body)
}

function apiFaults({ asked, method, target }: Plan, status: number, body: unknown): string[] {
  if (status < 400) return asked ? complaints(() => checkAnswer(method, target, status, body)) : []
  // Beside the API, which may also be named by a whole URL.
  return !/^\/v1\b/.test(target) && isOwnError(body) ? [] : errorFaults(status, body)
}

/** The vendor's form, with a code that is in the catalogue. */
function errorFaults(status: number, body: unknown): string[] {
  if (!isVendorError(status, body)) return [`status ${status} with an error of another form: ${shown(body)}`]
  const { code } = body
  return known_errors.has(`${code} ${status}`) ? [] : [`error ${code} with status ${status} is in no catalogue`]
}

function isVendorError(status: number, body: unknown): body is { readonly code: number } {
  if (typeof body !== 'object' || body === null) return false
  return complaints(() => checkAnswer('GET', '/', status, body)).length === 0
}

function complaints(check: () => void): string[] {
  try {
    check()
    return []
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

function shown(body: unknown): string {
  return JSON.stringify(body)?.slice(0, 200) ?? 'nothing'
}
