import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ApiError } from '../errors.ts'
import { anyActionOf, newPolicy, permissionOf, permissionRefusal } from './key-permissions.ts'

test.each([
  ['List', 'Conversations', '/twilio/conversations/conversations/list'],
  ['Create', '/ConversationWithParticipants', '/twilio/conversations/conversation-with-participants/create'],
  ['Fetch', 'Users/Conversations', '/twilio/conversations/users.conversations/read'],
  ['Fetch', 'Conversations/Messages/Receipts', '/twilio/conversations/conversations.receipts/read'],
  ['Update', 'Configuration/Webhooks', '/twilio/conversations/configuration.webhooks/update'],
  ['Delete', 'Media', '/twilio/conversations/media/delete'],
] as const)('%s of %s needs %s', (verb, path, permission) => {
  expect(permissionOf(verb, path)).toBe(permission)
})

test('a permission allows itself, `*` its resource, and nothing allows what needs none', () => {
  const read = permissionOf('Fetch', 'Roles')
  const update = permissionOf('Update', 'Roles')
  expect(permissionRefusal(new Set([read]), read)).toBeUndefined()
  expect(permissionRefusal(new Set([read]), update)?.entry.code).toBe(70051)
  expect(permissionRefusal(new Set([anyActionOf(read)]), update)).toBeUndefined()
  expect(permissionRefusal(new Set([anyActionOf(read)]), permissionOf('Fetch', 'Users'))?.entry.code).toBe(70051)
  expect(permissionRefusal(new Set([read]), undefined)?.entry.code).toBe(70051)
})

test('whatever is given as a policy is stored as it was checked, or refused with 70002', () => {
  const known = new Map([[permissionOf('Fetch', 'Roles'), null]])
  const permission = fc.oneof(fc.constantFrom(...known.keys(), anyActionOf(permissionOf('Fetch', 'Roles'))), fc.anything())
  const policy = fc.oneof(fc.record({ allow: fc.array(permission, { maxLength: 120 }) }), fc.anything())
  fc.assert(
    fc.property(policy, (given) => {
      try {
        const { allow } = JSON.parse(newPolicy(given, known))
        expect(allow.every((one: string) => one.startsWith('/twilio/conversations/roles/'))).toBe(true)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        expect(error.entry).toMatchObject({ code: 70002, status: 400 })
        expect(error.message.length).toBeLessThan(300)
      }
    }),
  )
})
