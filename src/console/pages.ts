/** A page without script. `body`: HTML. */
function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em } code { font-size: 0.95em }</style>
${body}`
}

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
}

export const page = {
  headers,
  /** `/`, for whoever opens the server and is not led to the console. */
  home: htmlPage(
    'Parley',
    `<h1>Parley is running</h1>
<p>This server implements the Twilio Conversations REST API v1. Programs talk to it:</p>
<ul>
<li><code>/v1</code> is the API, for the official SDKs or any HTTP client, with an account SID and its auth token (HTTP Basic).
<li><code>/admin/v1</code> is the operator's API, with the operator token; <code>parley --help</code> lists the commands.
<li><code>/console</code> is a page for people, unless <code>PARLEY_CONSOLE=false</code>.
<li><a href="/healthz"><code>/healthz</code></a> and <a href="/readyz"><code>/readyz</code></a> say whether the server and its database work.
</ul>
<p>The documentation is in the folder <code>docs</code> of the program.
`,
  ),
}

export const notBuilt = htmlPage(
  'The console is not built',
  `<h1>The console is not built</h1>
<p>Everything else works. In a checkout, <code>npm run build:console</code> builds it; then reload this page.
`,
)
