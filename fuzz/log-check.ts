/** The levels of pino from which on a line tells of a defect. */
const error_level = 50
const max_kept = 50

/** Reads what a server writes to its log, as it comes. */
export class LogCheck {
  readonly faults: string[] = []
  lines = 0
  readonly #secrets: readonly string[]
  #rest = ''

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#read(line)
  }

  #read(line: string): void {
    // What is no line of JSON is what the command says when it starts: the first token is shown there, once.
    if (!line.startsWith('{')) return
    this.lines++
    if (this.#secrets.some((secret) => line.includes(secret))) this.#found('the log has a secret', line)
    else if (levelOf(line) >= error_level) this.#found('the log has an error', line)
  }

  #found(what: string, line: string): void {
    if (this.faults.length < max_kept) this.faults.push(`${what}: ${line.slice(0, 3_000)}`)
  }
}

function levelOf(line: string): number {
  return Number(/^\{"level":(\d+)/.exec(line)?.[1] ?? 0)
}
