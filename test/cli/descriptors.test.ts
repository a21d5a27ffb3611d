import { expect, onTestFinished, test } from 'vitest'
import { folder, serve } from '../support/process.ts'
import { auth_token } from '../support/server.ts'
import { connectTo, head, parsedResponse } from '../support/sockets.ts'

const account_sid = `AC${'0'.repeat(32)}`

test('without a descriptor left, requests are refused with 503 and the server lives', async () => {
  using data = folder()
  await using server = await serve({
    open_files: 120,
    env: {
      PARLEY_DATABASE_URL: `sqlite:${data.file('parley.db')}`,
      PARLEY_ACCOUNT_SID: account_sid,
      PARLEY_AUTH_TOKEN: auth_token,
      PARLEY_MAX_CONNECTIONS: '1000',
    },
  })
  const open = () => {
    const opened = connectTo(server.url)
    onTestFinished(() => void opened.socket.destroy())
    return opened
  }
  const authorization = `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`
  const call = async (path: string, init: RequestInit = {}) => {
    const answer = await fetch(server.url + path, { ...init, headers: { authorization } })
    return JSON.parse(await answer.text())
  }
  const { default_chat_service_sid: service } = await call('/v1/Configuration')
  const { links } = await call(`/v1/Services/${service}/Media`, { method: 'POST', body: 'bytes' })
  const { pathname } = new URL(links.content)

  const kept = open()
  const health = head('GET', '/healthz')
  kept.socket.write(health)
  await kept.until(/"ok"/)
  const opened = []
  for (let refused = false; !refused; ) {
    const { socket, until, closed } = open()
    socket.write(health)
    opened.push(socket)
    refused = await Promise.race([until(/"ok"/).then(() => false), closed.then(() => true)]).catch(() => true)
  }

  kept.socket.write(head('GET', pathname, { Authorization: authorization }))
  const received = await kept.until(/ 503 .*}$/s)
  expect(parsedResponse(received.slice(received.lastIndexOf('HTTP/1.1')))).toMatchObject({ status: 503, body: { code: 20503 } })

  for (const socket of opened) socket.destroy()
  const download = async () => {
    const { socket, closed } = open()
    socket.write(head('GET', pathname, { Authorization: authorization, Connection: 'close' }))
    return closed
  }
  await expect.poll(download).toMatch(/ 200 .*bytes$/s)
})
