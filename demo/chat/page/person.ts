import { Client, type Conversation, type Media, type Message } from '@twilio/conversations'
import type { PersonSetup, Token } from '../protocol.ts'
import { ask, find } from './requests.ts'

/** What is seen of a message: its text, its files and whether the others have read it. */
interface Shown {
  readonly element: HTMLElement
  readonly mark: HTMLElement
  readonly message: Message
}

/** One of the two, with a client of the SDK of their own. */
export class Person {
  readonly #section: HTMLElement
  readonly #person: PersonSetup
  readonly #client: Client
  readonly #changed: () => void
  readonly #shown = new Map<number, Shown>()
  readonly #typing = new Set<string>()
  #conversation: Conversation | null = null

  private constructor(section: HTMLElement, person: PersonSetup, client: Client, changed: () => void) {
    this.#section = section
    this.#person = person
    this.#client = client
    this.#changed = changed
    find(section, 'h2').textContent = person.name
    section.setAttribute('aria-label', person.name)
    const messages = find<HTMLElement>(section, '.messages')
    messages.setAttribute('aria-label', `Messages as ${person.name} sees them`)
    // It scrolls: the keyboard has to reach it.
    messages.tabIndex = 0
    this.#listen()
  }

  /** Connects with a token of this person. `changed`: called when the state of the conversation has changed. */
  static async connect(section: HTMLElement, person: PersonSetup, uri: string, changed: () => void): Promise<Person> {
    const client = new Client(await Person.#token(person), { Twilsock: { uri } })
    const initialized = new Promise<void>((resolve, reject) => {
      client.on('initialized', resolve)
      client.on('initFailed', ({ error }) => reject(new Error(error?.message ?? 'the client could not start')))
    })
    const self = new Person(section, person, client, changed)
    await initialized
    return self
  }

  static async #token({ identity }: PersonSetup): Promise<string> {
    const { token } = await ask<Token>('/tokens', { identity })
    return token
  }

  #listen(): void {
    const renew = async () => void (await this.#client.updateToken(await Person.#token(this.#person)))
    this.#client.on('tokenAboutToExpire', () => this.#try(renew))
    this.#client.on('tokenExpired', () => this.#try(renew))
    this.#client.on('connectionStateChanged', (state) => {
      find(this.#section, '.connection').textContent = state
    })
    const form = find<HTMLFormElement>(this.#section, 'form')
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      this.#try(() => this.#send(form))
    })
    find(form, '[name=text]').addEventListener('input', () => this.#try(async () => this.#conversation?.typing()))
    this.#section.addEventListener('focusin', () => this.#try(() => this.#read()))
  }

  /** Shows a conversation instead of the one before. */
  async open(sid: string): Promise<void> {
    this.#conversation?.removeAllListeners()
    this.#shown.clear()
    this.#typing.clear()
    find(this.#section, '.messages').replaceChildren()
    await this.#connected()
    const conversation = await this.#client.getConversationBySid(sid)
    this.#conversation = conversation
    conversation.on('messageAdded', (message) => this.#try(() => this.#add(message)))
    conversation.on('participantUpdated', () => this.#try(() => this.#mark()))
    conversation.on('typingStarted', ({ identity }) => this.#type(identity, true))
    conversation.on('typingEnded', ({ identity }) => this.#type(identity, false))
    conversation.on('updated', ({ updateReasons }) => {
      if (updateReasons.includes('state')) this.#showState()
    })
    for (const message of (await conversation.getMessages()).items) await this.#add(message)
    this.#showState()
  }

  /** Resolves when the client is connected: the SDK refuses requests while its token is renewed. */
  async #connected(): Promise<void> {
    while (this.#client.connectionState !== 'connected') {
      await new Promise((resolve) => this.#client.once('connectionStateChanged', resolve))
    }
  }

  /** Does something that may fail, and says how. */
  #try(work: () => Promise<unknown>): void {
    const problem = find(this.#section, '.problem')
    work().then(
      () => problem.replaceChildren(),
      (error: unknown) => problem.replaceChildren(error instanceof Error ? error.message : String(error)),
    )
  }

  async #send(form: HTMLFormElement): Promise<void> {
    const text = find<HTMLInputElement>(form, '[name=text]')
    const file = find<HTMLInputElement>(form, '[name=file]').files?.[0]
    if (!this.#conversation || (text.value === '' && !file)) return
    const message = this.#conversation.prepareMessage()
    if (text.value !== '') message.setBody(text.value)
    if (file) {
      const upload = new FormData()
      upload.append('file', file, file.name)
      message.addMedia(upload)
    }
    form.reset()
    await message.buildAndSend()
  }

  async #add(message: Message): Promise<void> {
    if (this.#shown.has(message.index)) return
    const own = message.author === this.#person.identity
    const element = document.createElement('article')
    const mark = document.createElement('small')
    element.classList.toggle('own', own)
    this.#shown.set(message.index, { element, mark, message })
    const author = document.createElement('small')
    author.textContent = own ? 'You' : message.author
    const body = document.createElement('p')
    body.textContent = message.body
    element.append(author, body, mark)
    const messages = find(this.#section, '.messages')
    messages.append(element)
    for (const media of message.attachedMedia ?? []) mark.before(await file(media))
    messages.scrollTop = messages.scrollHeight
    // Who is in the part of the page that shows it has read it.
    if (this.#section.matches(':focus-within')) await this.#read()
    await this.#mark()
  }

  async #read(): Promise<void> {
    const last = Math.max(...this.#shown.keys())
    if (!this.#conversation || last < 0 || last <= (this.#conversation.lastReadMessageIndex ?? -1)) return
    await this.#conversation.advanceLastReadMessageIndex(last)
    await this.#mark()
  }

  /** Says what the others have read, and how much is new here. */
  async #mark(): Promise<void> {
    const members = (await this.#conversation?.getParticipants()) ?? []
    const self = members.find(({ identity }) => identity === this.#person.identity)
    const others = members.filter((one) => one !== self)
    let unread = 0
    for (const [index, { message, mark }] of this.#shown) {
      const own = message.author === this.#person.identity
      const readers = others.filter(({ lastReadMessageIndex }) => (lastReadMessageIndex ?? -1) >= index)
      mark.textContent = own ? (readers.length === 0 ? 'Sent' : `Read by ${readers.map((one) => one.identity).join(', ')}`) : ''
      if (!own && index > (self?.lastReadMessageIndex ?? -1)) unread++
    }
    find(this.#section, '.unread').textContent = unread === 0 ? '' : `${unread} unread`
  }

  #type(identity: string | null, typing: boolean): void {
    if (identity === null) return
    if (typing) this.#typing.add(identity)
    else this.#typing.delete(identity)
    const names = [...this.#typing].join(', ')
    find(this.#section, '.messages + .note').textContent = names === '' ? '' : `${names} is typing`
  }

  #showState(): void {
    find<HTMLFieldSetElement>(this.#section, 'fieldset').disabled = this.#conversation?.state?.current === 'closed'
    this.#changed()
  }
}

/** An image as such, any other file as a link. */
async function file(media: Media): Promise<HTMLElement> {
  const url = (await media.getContentTemporaryUrl()) ?? ''
  const name = media.filename ?? 'file'
  if (media.contentType.startsWith('image/')) return Object.assign(document.createElement('img'), { src: url, alt: name })
  return Object.assign(document.createElement('a'), { href: url, download: name, textContent: name })
}
