// The health check of the container, in a file because engines differ in what they make of a command with quotes and variables.
const { PORT = '8080' } = process.env
const response = await fetch(`http://127.0.0.1:${PORT}/healthz`).catch(() => null)
process.exit(response?.ok ? 0 : 1)
