import type { Conversation, Setup } from '../protocol.ts'
import { Person } from './person.ts'
import { ask, find } from './requests.ts'

const state = find<HTMLElement>(document, '#state')
const now = find<HTMLTimeElement>(document, '#now')
/** How far the server's clock is ahead of this one, in ms. */
let ahead = 0

function time(iso: string | number): string {
  return new Date(iso).toLocaleTimeString()
}

function tick(): void {
  now.textContent = time(Date.now() + ahead)
}

function show({ state: current, becomesInactive, isClosed, now: server }: Conversation): void {
  ahead = Date.parse(server) - Date.now()
  tick()
  const next = {
    active: becomesInactive && `Without a message it becomes inactive at ${time(becomesInactive)}.`,
    inactive: isClosed && `Without a message it is closed at ${time(isClosed)}.`,
    closed: 'It takes no more messages.',
  }[current]
  state.textContent = `The conversation is ${current}. ${next ?? ''}`
}

const refresh = async () => show(await ask<Conversation>('/conversation'))

const { uri, people } = await ask<Setup>('/setup')
const template = find<HTMLTemplateElement>(document, '#person')
const opened = await Promise.all(
  people.map((person) => {
    const section = find<HTMLElement>(document.importNode(template.content, true), 'section')
    find(document, '#people').append(section)
    return Person.connect(section, person, uri, refresh)
  }),
)

async function open(conversation: Conversation): Promise<void> {
  show(conversation)
  await Promise.all(opened.map((person) => person.open(conversation.sid)))
}

for (const button of document.querySelectorAll<HTMLButtonElement>('[data-advance]')) {
  button.addEventListener('click', async () => show(await ask<Conversation>('/clock', { advance: button.dataset.advance })))
}
find(document, '#again').addEventListener('click', async () => open(await ask<Conversation>('/conversation', {})))
setInterval(tick, 1000)
await open(await ask<Conversation>('/conversation'))
