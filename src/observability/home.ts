import type { FastifyPluginAsync } from 'fastify'

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Parley</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em } code { font-size: 0.95em }</style>
<h1>Parley is running</h1>
<p>This server implements the Twilio Conversations REST API v1. It has no pages; programs talk to it:</p>
<ul>
<li><code>/v1</code> is the API, for the official SDKs or any HTTP client, with an account SID and its auth token (HTTP Basic).
<li><code>/admin/v1</code> is the operator's API, with the operator token; <code>parley --help</code> lists the commands.
<li><a href="/healthz"><code>/healthz</code></a> and <a href="/readyz"><code>/readyz</code></a> say whether the server and its database work.
</ul>
<p>The documentation is in the folder <code>docs</code> of the program.
`

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
}

/** `/`: a page for whoever opens the server in a browser. */
export function homeRoutes(): FastifyPluginAsync {
  return async (server) => {
    server.get('/', async (_request, reply) => reply.headers(headers).send(page))
  }
}
