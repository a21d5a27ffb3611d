import type { Message, Participant } from '@twilio/conversations'
import { expect } from 'vitest'
import { connected, next, opened } from '../support/client.ts'
import { test } from '../support/fixtures.ts'

/** Letters of several scripts, marks that combine, signs of two code units and what is special in URLs, JSON and forms. */
const text = 'Zoë Łódź 日本語 עברית é e\u0301 👩‍👩‍👧 😀 50% + 1 & ; = "\'<>\\ /?#'
/** The same where it is part of a path. */
const name = 'josé+ü/ö &=@例.com 😀 50%'

test('every text arrives as it was written', async ({ tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  const [ann, bob] = await Promise.all([connected(tenant, name), connected(tenant, 'боб')])
  const made = await ann.createConversation({ friendlyName: text, uniqueName: name, attributes: { [text]: text } })
  await made.join()
  await made.add('боб', { [text]: [text] })
  const there = await opened(bob, made.sid)
  expect(there).toMatchObject({ friendlyName: text, uniqueName: name, createdBy: name, attributes: { [text]: text } })
  expect((await bob.getConversationByUniqueName(name)).sid).toBe(made.sid)
  const added = next<Message>(there, 'messageAdded')
  // The name of a file is what follows its last slash.
  const file = { contentType: 'text/plain', filename: text.replaceAll(/[\\/]/g, '-'), media: Buffer.from(text) }
  await made
    .prepareMessage()
    .setBody(text)
    .setSubject(text)
    .setAttributes({ [text]: text })
    .addMedia(file)
    .build()
    .send()
  const message = await added
  expect(message).toMatchObject({ body: text, author: name, subject: text, attributes: { [text]: text } })
  expect(message.attachedMedia?.[0]?.filename).toBe(file.filename)
  const [url] = (await bob.getTemporaryContentUrlsForMedia(message.attachedMedia ?? [])).values()
  expect(await (await fetch(url as string)).text()).toBe(text)
  const edited = next(there, 'messageUpdated', ({ updateReasons }) => updateReasons.includes('body'))
  const [own] = (await made.getMessages()).items as [Message]
  await own.updateBody(text.repeat(20))
  expect((await edited).message.body).toBe(text.repeat(20))
  const member = (await there.getParticipantByIdentity(name)) as Participant
  expect(member.identity).toBe(name)
  const user = await bob.getUser(name)
  const renamed = next(user, 'updated', ({ updateReasons }) => updateReasons.includes('friendlyName'))
  await ann.user.updateFriendlyName(text)
  await renamed
  expect([user.identity, user.friendlyName]).toEqual([name, text])
  expect(await v1.conversations(made.sid).fetch()).toMatchObject({ friendlyName: text, uniqueName: name })
  expect((await v1.users.list()).find(({ identity }) => identity === name)?.friendlyName).toBe(text)
  const [stored] = await v1.conversations(made.sid).messages.list()
  expect(stored).toMatchObject({ author: name, body: text.repeat(20) })
  await made.removeParticipant('боб')
  expect((await v1.conversations(made.sid).participants.list()).map(({ identity }) => identity)).toEqual([name])
})
