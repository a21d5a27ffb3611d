import { createContext, useContext } from 'react'
import { conversationPath, type State } from './api.ts'
import { useSetting } from './settings.ts'

/** What the parts of the page share. */
interface Shown {
  readonly account: string
  readonly service: string
  readonly sid: string
  readonly state: State
}

export const ShownContext = createContext<Shown | null>(null)

export function useShown(): Shown {
  const shown = useContext(ShownContext)
  if (!shown) throw new Error('outside of a conversation')
  return shown
}

/** How acts of the page are sent: as the account, with webhooks unless they are switched off. */
export function useActing() {
  const { account, service, sid } = useShown()
  const [webhooks] = useSetting('webhooks')
  return { path: conversationPath(service, sid), options: { account, webhooks: webhooks === 'yes' } }
}
