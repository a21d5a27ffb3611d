'use strict'
// The least that a server of this kind could be: Node, its HTTP server and, with `thread`, one thread that does nothing.
const { createServer } = require('node:http')
const { Worker } = require('node:worker_threads')

const thread = process.argv.includes('thread') && new Worker('setInterval(() => {}, 1e9)', { eval: true })
const server = createServer((_request, response) => response.end('{}'))
const listen = () =>
  server.listen(0, '127.0.0.1', () => console.log(`Parley listens on http://127.0.0.1:${server.address().port}`))
if (thread) thread.once('online', listen)
else listen()
