/** Loaded into a server's process before it starts: SIGUSR2 ends its writer thread. */
process.on('worker', (worker) => {
  process.on('SIGUSR2', () => void worker.terminate())
})
