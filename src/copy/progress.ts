/** Shows the operator the progress of a copy. */
export interface Progress {
  /** A sentence. */
  say(text: string): void
  /** Starts with the amount of work, and how much of it an earlier run has done. */
  begin(total: number, done: number): void
  /** Adds to the work done. `what` names the current part. */
  step(what: string, amount: number): void
  /** Reports a part that is done: a table, or the files. */
  done(what: string, amount: number, unit: string): void
  /** Ends the display, also after a failure. */
  end(): void
}

/** For a file or a pipe: a line for each part. */
export function plainProgress(write: (line: string) => void): Progress {
  return {
    say: write,
    begin: () => {},
    step: () => {},
    done: (what, amount, unit) => write(`${what}: ${amount} ${unit}`),
    end: () => {},
  }
}

/** For a terminal: a bar over all rows and files. `cancelMessage`: what Ctrl-C says. */
export async function barProgress(write: (line: string) => void, cancelMessage: string): Promise<Progress> {
  // Loaded here, because other commands do not need it.
  const { progress } = await import('@clack/prompts')
  let bar: ReturnType<typeof progress> | null = null
  let [total, done] = [0, 0]
  // The library handles Ctrl-C, and ends the process with code 0.
  const interrupted = () => {
    process.exitCode = 130
  }
  return {
    say(text) {
      if (!bar) write(text)
    },
    begin(all, before) {
      total = all
      done = before
      bar = progress({
        max: Math.max(1, all),
        withGuide: false,
        cancelMessage,
        onCancel: () => process.exit(130),
      })
      process.once('exit', interrupted)
      bar.start('')
      bar.advance(before)
    },
    step(what, amount) {
      done += amount
      bar?.advance(amount, `${Math.floor((100 * done) / Math.max(1, total))} % ${what}`)
    },
    done: () => {},
    end() {
      bar?.clear()
      bar = null
      process.off('exit', interrupted)
    },
  }
}
