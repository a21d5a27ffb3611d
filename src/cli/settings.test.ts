import { Command } from 'commander'
import { afterEach, expect, test, vi } from 'vitest'
import { textsOf, withSettings } from './settings.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

test.each([
  [['--admin-token', 'flag'], { PARLEY_ADMIN_TOKEN_FILE: '/variable' }, { PARLEY_ADMIN_TOKEN: 'flag' }],
  [['--admin-token-file', '/flag'], { PARLEY_ADMIN_TOKEN: 'variable' }, { PARLEY_ADMIN_TOKEN_FILE: '/flag' }],
  [['--port', '1'], { PARLEY_ADMIN_TOKEN_FILE: '/variable' }, { PORT: '1', PARLEY_ADMIN_TOKEN_FILE: '/variable' }],
  // Given twice in one way: which one counts is not for Parley to say.
  [[], { PARLEY_ADMIN_TOKEN: 'a', PARLEY_ADMIN_TOKEN_FILE: '/b' }, { PARLEY_ADMIN_TOKEN: 'a', PARLEY_ADMIN_TOKEN_FILE: '/b' }],
])('flags %j win over variables %j, also where one is a file', (flags, variables, texts) => {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value)
  const command = withSettings(new Command()).parse(flags, { from: 'user' })
  expect(textsOf(command)).toEqual(texts)
})
