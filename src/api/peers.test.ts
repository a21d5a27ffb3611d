import { createServer, Socket } from 'node:net'
import { expect, test } from 'vitest'
import { proxyCheck } from './origin.ts'
import { isLoopbackAddress, limitPeers } from './peers.ts'

test.each(['fe80::1', 'fe80::1%eth0', 'fe80::1%eth0.100', 'fe80::1%br-lan', 'fe80::1%br_1', '192.0.2.1', 'nonsense'])(
  'connections of %s are counted, whatever its interface is called',
  (address) => {
    const server = createServer()
    const refused: string[] = []
    limitPeers(server, { maxConnectionsPerAddress: 2, isExempt: isLoopbackAddress }, (peer) => refused.push(peer))
    for (let i = 0; i < 3; i++) {
      server.emit('connection', Object.defineProperty(new Socket(), 'remoteAddress', { value: address }))
    }
    expect(refused).toEqual([address])
  },
)

test.each([
  ['fe80::1%br-lan', true],
  ['fe80::1%eth0.100', true],
  ['2001:db8::1', false],
  ['nonsense%br-lan', false],
])('a proxy on the local link is known by its address: %s', (address, isTrusted) => {
  expect(proxyCheck(['fe80::/10'])?.(address)).toBe(isTrusted)
})
