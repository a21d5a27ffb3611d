/*
 * What of a hosted account is read at once. A target is stored as a text: a word and its arguments, each percent-encoded, so that
 * asking twice for the same is asking once.
 */

/** The arguments of each kind of target. */
interface Arguments {
  /** Settings, credentials and addresses of the account, and which services there are. */
  account: readonly []
  /** A service with its settings and roles. */
  service: readonly [service: string]
  /** By SID or identity. */
  user: readonly [service: string, key: string]
  /** What only the list of a user's conversations shows. */
  membership: readonly [service: string, user: string, conversation: string]
  /** Conversations that were made since a day, of which this side may not know. */
  newest: readonly [service: string, day: string]
  /** A conversation without what is in it. By SID or unique name. */
  state: readonly [service: string, key: string]
  /** With its participants and webhooks. By SID or unique name. */
  conversation: readonly [service: string, key: string]
  /** The last messages, back to those that are known here. */
  messages: readonly [service: string, conversation: string]
  /** A message with its receipts and files. */
  message: readonly [service: string, conversation: string, message: string]
  binding: readonly [service: string, binding: string]
}

export type TargetKind = keyof Arguments

/** In the order in which they are read: what comes later refers to what comes earlier. */
export const targetKinds = [
  'account',
  'service',
  'user',
  'newest',
  'state',
  'conversation',
  'membership',
  'messages',
  'message',
  'binding',
] as const satisfies readonly TargetKind[]

export type Target = { readonly [K in TargetKind]: { readonly kind: K; readonly args: Arguments[K] } }[TargetKind]

export function targetText<K extends TargetKind>(kind: K, ...args: Arguments[K]): string {
  return [kind, ...args.map(encodeURIComponent)].join(' ')
}

/** Returns the target of a text that `targetText` has made. */
export function targetOf(text: string): Target {
  const [kind, ...args] = text.split(' ')
  // The text is this module's own.
  return { kind, args: args.map(decodeURIComponent) } as unknown as Target
}

/** Where it comes in the order of reading. */
export function rankOf({ kind }: Target): number {
  return targetKinds.indexOf(kind)
}
