import type { AccountName, Plan, Step } from '../plan.ts'
import type { Random } from '../random.ts'
import type { World } from '../surroundings.ts'
import { goodAuthorization } from './head.ts'

/** What goes over the socket, how many answers that must bring, and its name in the report. */
interface Talk {
  readonly name: string
  readonly steps: readonly Step[]
  /** Null: any number, none included. */
  readonly answers: number | null
}

interface Base {
  readonly world: World
  /** Request line and headers of a list, without the empty line at the end. */
  readonly get: string
  /** The same of a creation, without anything about its body. */
  readonly post: string
}

/** A socket used in ways that no client library would. */
export function socketPlan(random: Random, index: number, world: World): Plan {
  const as: AccountName = random.chance(0.5) ? 'a' : 'b'
  const common = `Host: ${world.host}\r\nAuthorization: ${goodAuthorization(random, world.accounts[as])}`
  const base: Base = {
    world,
    get: `GET /v1/Conversations?PageSize=1 HTTP/1.1\r\n${common}`,
    post: `POST /v1/Conversations HTTP/1.1\r\n${common}\r\nContent-Type: application/x-www-form-urlencoded`,
  }
  const { name, steps, answers } = random.pick(talks)(random, base)
  const method = steps[0] instanceof Buffer ? (steps[0].toString('latin1', 0, 30).split(' ')[0] ?? '') : ''
  return { index, label: `socket: ${name}`, as, method, target: '', steps, denied: false, answers, alone: true, asked: null }
}

const talks: readonly ((random: Random, base: Base) => Talk)[] = [
  requestLine,
  header,
  headerFlood,
  smuggling,
  badChunks,
  goodChunks,
  slowHead,
  pipelined,
  halfClosed,
  cutOff,
  upgrade,
  expectation,
  wrongLength,
  noise,
]

function raw(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

function requestLine(random: Random, { world: { host } }: Base): Talk {
  const line = random.pick([
    ...[
      'GET',
      'GET /',
      'GET  / HTTP/1.1',
      'GET / HTTP/1.1 x',
      'GET / HTTP/2.0',
      'GET / HTTP/0.9',
      'GET / HTTP/1.',
      'GET / http/1.1',
    ],
    ...[
      'get / HTTP/1.1',
      'G\u0000T / HTTP/1.1',
      ' GET / HTTP/1.1',
      'GET\t/\tHTTP/1.1',
      'GET / HTTP/1.1\r',
      'PRI * HTTP/2.0',
      'FOO / HTTP/1.1',
    ],
    ...[
      'CONNECT 127.0.0.1:1 HTTP/1.1',
      'CONNECT / HTTP/1.1',
      'OPTIONS * HTTP/1.1',
      'GET \u00ff HTTP/1.1',
      'GET /\u0000 HTTP/1.1',
      `GET /${'a'.repeat(20_000)} HTTP/1.1`,
    ],
    ...[
      'GET / HTTP/1.0',
      'GET / HTTP/9.9',
      'GET /\\x HTTP/1.1',
      'GET // HTTP/1.1',
      'GET /a b HTTP/1.1',
      'SOURCE / ICE/1.0',
      'GET / RTSP/1.0',
      'GET ? HTTP/1.1',
    ],
  ])
  const end = random.pick(['\r\n', '\n'])
  return { name: 'request line', steps: [raw(`${line}${end}Host: ${host}${end}${end}`), { pause_ms: 5 }, 'end'], answers: null }
}

function header(random: Random, { get }: Base): Talk {
  const line = random.pick([
    ...[
      'no colon',
      ': no name',
      'A : b',
      ' folded: x',
      'A: b\r\n folded',
      'A\u0000: b',
      'A: b\u0000c',
      'A: \rb',
      'A: b\nX: y',
      'Ä: ö',
      'A: \u007f',
    ],
    ...[
      'Host: second',
      'Authorization: Basic eDp5',
      'Content-Type: a\r\nContent-Type: b',
      'Content-Length: 0\r\nContent-Length: 1',
      'Content-Length: x',
    ],
    ...[
      'Content-Length: -1',
      'Content-Length: +1',
      'Content-Length: 0x1',
      'Content-Length: 1,1',
      'Content-Length: 99999999999999999999',
      'Content-Length: ',
    ],
    ...[
      'X-Twilio-Webhook-Enabled: true\r\nX-Twilio-Webhook-Enabled: false',
      'Transfer-Encoding: nothing',
      'Connection: \u0001',
      'Host:',
    ],
  ])
  return { name: 'header', steps: [raw(`${get}\r\n${line}\r\n\r\n`), { pause_ms: 5 }, 'end'], answers: null }
}

function headerFlood(random: Random, { get }: Base): Talk {
  const flood = random.pick([
    `X: ${'a'.repeat(20_000)}`,
    Array.from({ length: 3_000 }, (_, i) => `X-${i}: a`).join('\r\n'),
    Array.from({ length: 1_500 }, () => 'A:').join('\r\n'),
    `${'N'.repeat(17_000)}: a`,
    `Cookie: ${'a=b; '.repeat(3_000)}`,
  ])
  return { name: 'header flood', steps: [raw(`${get}\r\n${flood}\r\n\r\n`), { pause_ms: 5 }, 'end'], answers: null }
}

/** Two sides could find the end of the first request at different places; a second answer would show that this one did. */
function smuggling(random: Random, { get, post }: Base): Talk {
  const hidden = `${get}\r\nX-Hidden: yes\r\n\r\n`
  const head = random.pick([
    `Content-Length: ${hidden.length + 5}\r\nTransfer-Encoding: chunked`,
    `Transfer-Encoding: chunked\r\nContent-Length: ${hidden.length + 5}`,
    `Content-Length: 0\r\nTransfer-Encoding: identity`,
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding: identity, chunked\r\nContent-Length: 3',
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding : chunked',
    'Transfer-Encoding:\u000bchunked\r\nContent-Length: 3',
    'Content-Length: 3\r\nContent-Length: 4',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    'Content-Length : 0',
    ' Content-Length: 0',
  ])
  return { name: 'smuggling', steps: [raw(`${post}\r\n${head}\r\n\r\n0\r\n\r\n${hidden}`), { pause_ms: 20 }, 'end'], answers: 1 }
}

function badChunks(random: Random, { post }: Base): Talk {
  const body = random.pick([
    ...[
      'zz\r\nabc\r\n0\r\n\r\n',
      '-1\r\n\r\n',
      'FFFFFFFFFFFFFFFFF\r\na',
      '3\r\nabcdef\r\n0\r\n\r\n',
      '3\nabc\n0\n\n',
      '\r\n',
      '0x3\r\nabc\r\n0\r\n\r\n',
    ],
    ...[
      `3;${'x'.repeat(20_000)}\r\nabc\r\n0\r\n\r\n`,
      '3 \r\nabc\r\n0\r\n\r\n',
      '1\r\na\r\n0\r\nX: y',
      `0\r\n${'X: y\r\n'.repeat(5_000)}\r\n`,
      '3\r\nab',
      '٣\r\nabc',
    ],
  ])
  const steps: Step[] = [raw(`${post}\r\nTransfer-Encoding: chunked\r\n\r\n`), raw(body), { pause_ms: 10 }, 'end']
  return { name: 'bad chunks', steps, answers: null }
}

function goodChunks(random: Random, { post }: Base): Talk {
  const parts = ['Friendly', 'Name=', random.hex(4), '&Attributes=', '%7B', '%7D'].map((part) =>
    raw(`${part.length.toString(16)}${random.pick(['', ';a=b'])}\r\n${part}\r\n`),
  )
  const last = random.pick(['0\r\n\r\n', '0\r\nContent-Length: 9\r\nAuthorization: x\r\n\r\n'])
  return { name: 'chunks', steps: [raw(`${post}\r\nTransfer-Encoding: chunked\r\n\r\n`), ...parts, raw(last)], answers: 1 }
}

function slowHead(random: Random, { get }: Base): Talk {
  const text = `${get}\r\n\r\n`
  const step = Math.ceil(text.length / 8)
  const parts = Array.from({ length: 8 }, (_, i): Step[] => [
    raw(text.slice(i * step, (i + 1) * step)),
    { pause_ms: 1 + random.below(5) },
  ])
  return { name: 'slow head', steps: parts.flat(), answers: 1 }
}

/** The answers must come in the order of the requests: each says which path was not found. */
function pipelined(random: Random, { get }: Base): Talk {
  const count = 2 + random.below(20)
  const one = (i: number) => `${get.replace(/\?PageSize=1/, `/pipelined-${i}`)}\r\n\r\n`
  return { name: 'pipelined', steps: [raw(Array.from({ length: count }, (_, i) => one(i)).join(''))], answers: count }
}

/** The runtime takes a closed half for a caller who has gone: whether there is an answer depends on how soon it comes. */
function halfClosed(random: Random, { get, post }: Base): Talk {
  const text = random.pick([`${get}\r\n\r\n`, `${post}\r\nContent-Length: 100\r\n\r\nFriendlyName=`])
  return { name: 'half closed', steps: [raw(text), 'end'], answers: null }
}

function cutOff(random: Random, { get, post, world: { host } }: Base): Talk {
  const text = random.pick([
    `${get}\r\n\r\n`,
    get.slice(0, random.below(get.length)),
    `${post}\r\nContent-Length: 50\r\n\r\nFriendlyName=cut`,
    `${post}\r\nContent-Length: 12\r\n\r\nFriendlyName`,
    `${post}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab`,
    `POST /v1/Services/IS/Media HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000000\r\n\r\nabc`,
  ])
  return { name: 'cut off', steps: [raw(text), { pause_ms: random.below(4) }, 'reset'], answers: null }
}

function upgrade(random: Random, { get }: Base): Talk {
  const to = random.pick(['websocket', 'h2c', 'TLS/1.0', '', 'x'.repeat(1_000)])
  const more = `Connection: Upgrade\r\nUpgrade: ${to}\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nHTTP2-Settings: AAMAAABk`
  return { name: 'upgrade', steps: [raw(`${get}\r\n${more}\r\n\r\n`)], answers: 1 }
}

function expectation(random: Random, { post }: Base): Talk {
  const value = random.pick(['100-continue', '100-Continue', '200-ok', ''])
  const steps: Step[] = [raw(`${post}\r\nExpect: ${value}\r\nContent-Length: 14\r\n\r\n`), { pause_ms: 5 }, raw('FriendlyName=x')]
  return { name: 'expectation', steps, answers: null }
}

function wrongLength(random: Random, { post }: Base): Talk {
  const length = random.pick([0, 1, 13, 15, 100, 1_048_576, 1_048_577, 2 ** 31, 2 ** 53])
  const steps: Step[] = [raw(`${post}\r\nContent-Length: ${length}\r\n\r\nFriendlyName=x`), { pause_ms: 10 }, 'end']
  return { name: 'wrong length', steps, answers: null }
}

function noise(random: Random): Talk {
  const bytes = random.pick([
    random.bytes(1 + random.below(500)),
    Buffer.from('160301020001000000', 'hex'),
    Buffer.alloc(1_000),
    raw('\r\n'.repeat(500)),
  ])
  return { name: 'noise', steps: [bytes, { pause_ms: 5 }, 'end'], answers: null }
}

/** Which of several pipelined requests an error is about. */
export function pipelinedPath(body: string): number | undefined {
  const found = /pipelined-(\d+)/.exec(body)?.[1]
  return found === undefined ? undefined : Number(found)
}
