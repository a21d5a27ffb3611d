import type { ComponentProps } from 'react'
import type { Right } from '../api.ts'
import { useRefusal } from '../rights.ts'

interface ActProps extends ComponentProps<'button'> {
  /** The right that it needs; by default that to change settings. */
  readonly needs?: Right
  /** It is about the whole installation. */
  readonly ofAll?: boolean
}

/** A button that changes something. It is disabled, and says why, for those who may not. */
export function Act({ needs = 'manage', ofAll = false, disabled, title, type = 'button', ...button }: ActProps) {
  const refusal = useRefusal(needs, ofAll)
  return <button {...button} type={type} disabled={disabled || refusal !== null} title={refusal ?? title} />
}
