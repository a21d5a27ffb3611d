import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { markFirstAccountShown } from '../../src/installation/open.ts'
import { start } from '../../src/main.ts'
import { newDatabase } from '../support/databases.ts'
import { startServer } from '../support/server.ts'

const silent = { log: pino({ level: 'silent' }) }

test('a connection on which nobody has asked anything does not keep the server from stopping', async () => {
  const server = await startServer()
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.once('close', resolve))
  await server.stop()
  await closed
})

test('a connection with half a head does not keep the server from stopping', async () => {
  const server = await startServer()
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.on('error', () => {})
  socket.write('GET /v1/Conversations HTTP/1.1\r\nHost: x\r\n')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  await server.stop()
  await closed
})

test('the token of the first account is shown until somebody has been told it, though the first start failed', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  onTestFinished(() => void taken.close())
  await using database = await newDatabase()
  const given = database.env
  const PORT = String((taken.address() as AddressInfo).port)
  await expect(start(readConfig({ ...given, PORT }), silent)).rejects.toThrow(/is in use/)
  const second = await start(readConfig({ ...given, PORT: '0' }), silent)
  const { account } = second.installation
  expect(account.unshownToken).toMatch(/^[0-9a-f]{32}$/)
  await markFirstAccountShown(second.installation)
  await second.stop()
  const third = await start(readConfig({ ...given, PORT: '0' }), silent)
  expect(third.installation.account).toEqual({ sid: account.sid, unshownToken: null, tokenGivenBy: null })
  await third.stop()
})
