import { Command } from 'commander'
import { ConfigError } from '../config-error.ts'
import { onServer } from './operator.ts'
import { type Call, RefusedError } from './server.ts'
import { configOf, withSettings } from './settings.ts'

interface Clock {
  now: string
  offset_ms: number
}

/** `parley clock …`: shows and moves the test clock of the running server. */
export function clockCommand(): Command {
  const clock = new Command('clock').description('show or move the test clock (needs PARLEY_TEST_CLOCK)')
  clock.addCommand(
    withSettings(new Command('show').description('show the time of the test clock')).action((_options, command: Command) =>
      onServer(configOf(command), async (call) => print(await ask(call, 'GET'))),
    ),
    { isDefault: true },
  )
  clock.addCommand(
    withSettings(new Command('advance').description('move the clock forward; ends when all timers that are due have fired'))
      .argument('<duration>', 'ISO 8601 duration, such as PT10M')
      .action((advance: string, _options, command: Command) =>
        onServer(configOf(command), async (call) => print(await ask(call, 'POST', { advance }))),
      ),
  )
  clock.addCommand(
    withSettings(new Command('set').description('move the clock forward to an instant'))
      .argument('<instant>', 'ISO 8601 date, such as 2030-01-01T00:00:00Z')
      .action((now: string, _options, command: Command) =>
        onServer(configOf(command), async (call) => print(await ask(call, 'POST', { now }))),
      ),
  )
  clock.addCommand(
    withSettings(new Command('reset').description('set all clocks back to the system clock; dates and deadlines stay')).action(
      (_options, command: Command) =>
        onServer(configOf(command), async (call) => print(await ask(call, 'POST', { reset: true }))),
    ),
  )
  return clock
}

async function ask(call: Call, method: 'GET' | 'POST', body?: object): Promise<Clock> {
  try {
    return await call<Clock>(method, '/clock', body)
  } catch (error) {
    if (!(error instanceof RefusedError) || error.status !== 404) throw error
    throw new ConfigError('the server has no test clock: start it with PARLEY_TEST_CLOCK=true (--test-clock)')
  }
}

function print({ now, offset_ms }: Clock): void {
  // While it moves, real time passes, by which it is then less ahead than it was moved.
  console.log(`${now}  ${Math.round(offset_ms / 1000)} s ahead`)
}
