/** What the page asks its server for. Everything else goes between the SDK and Parley. */
export interface Setup {
  /** Where the SDK connects to. */
  readonly uri: string
  readonly people: readonly PersonSetup[]
}

export interface PersonSetup {
  readonly identity: string
  readonly name: string
}

/** The conversation that both people are in, and the time on the server, in ISO 8601. */
export interface Conversation {
  readonly sid: string
  readonly state: 'active' | 'inactive' | 'closed'
  readonly becomesInactive: string | null
  readonly isClosed: string | null
  readonly now: string
}

export interface Token {
  readonly token: string
}
