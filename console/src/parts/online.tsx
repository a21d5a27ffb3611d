import type { User } from '../configuration.ts'

/** Whether somebody is online, where the service knows. */
export function Online({ user: { is_online, is_notifiable } }: { readonly user: Pick<User, 'is_online' | 'is_notifiable'> }) {
  if (is_online === true) return <span className="badge state-active">online</span>
  if (is_online === false) return <span className="badge">{is_notifiable ? 'offline, notifiable' : 'offline'}</span>
  return <span className="badge">unknown</span>
}
