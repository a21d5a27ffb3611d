/** Tells a person how far a copy has come. */
export interface Progress {
  /** A sentence. */
  say(text: string): void
  /** What there is to do in all, and how much of it was done before. */
  begin(total: number, done: number): void
  /** More is done of what is called `what`. */
  step(what: string, amount: number): void
  /** One thing is done: a table, or the files. */
  done(what: string, amount: number, unit: string): void
  /** Whatever comes next is written below. Also after a failure. */
  end(): void
}

/** For a file or a pipe: a line for each thing that is done. */
export function plainProgress(write: (line: string) => void): Progress {
  return {
    say: write,
    begin: () => {},
    step: () => {},
    done: (what, amount, unit) => write(`${what}: ${amount} ${unit}`),
    end: () => {},
  }
}

/** For a terminal: a bar over all rows and files. */
export async function barProgress(write: (line: string) => void): Promise<Progress> {
  // Here, because the other commands have no need of it.
  const { progress } = await import('@clack/prompts')
  let bar: ReturnType<typeof progress> | null = null
  let [total, done] = [0, 0]
  // The bar takes Ctrl-C for an answer and ends the process as if all were well.
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
        cancelMessage: 'Stopped. The same command goes on from here.',
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
