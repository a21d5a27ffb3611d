import { type ComponentProps, type ReactNode, useId, useLayoutEffect, useRef } from 'react'
import { RefusedError, type State } from '../api.ts'
import { announce } from './announce.tsx'

/** A refusal, in the words of the server, and what can be done. */
export function Problem({ error, retry }: { readonly error: unknown; readonly retry?: () => void }) {
  if (!error) return null
  const text = error instanceof Error ? error.message : 'Something went wrong.'
  const code = error instanceof RefusedError && error.code !== null ? ` (${error.code})` : ''
  return (
    <div className="problem" role="alert">
      <span>
        {text}
        {code}
      </span>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  )
}

/** What a list without entries says: what it would have, and the next step. */
export function Empty({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children}
    </div>
  )
}

export function Loading({ what }: { readonly what: string }) {
  return <p className="loading">Loading {what} …</p>
}

export function StateBadge({ state }: { readonly state: State }) {
  return <span className={`badge state-${state}`}>{state}</span>
}

export function StatusBadge({ status }: { readonly status: string }) {
  return <span className={`badge status-${status}`}>{status}</span>
}

/** A SID that can be copied. */
export function Sid({ sid }: { readonly sid: string }) {
  return (
    <button type="button" className="sid" title="Copy the SID" onClick={() => copy(sid, 'The SID')}>
      {sid}
    </button>
  )
}

export function copy(text: string, what: string): void {
  // Only where the browser trusts the address: https, or this machine.
  const copied = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error('not here'))
  copied.then(
    () => announce(`${what} was copied`),
    () => announce('The browser copies only on https, or on this machine, and if it is allowed to'),
  )
}

/** A native dialog that is open as long as it is there. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  readonly title: string
  readonly onClose: () => void
  readonly children: ReactNode
}) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  // Before it is taken away: closing gives the focus back to where it was.
  useLayoutEffect(() => {
    const shown = dialog.current
    shown?.showModal()
    // What there is to type into comes before the button that closes.
    shown?.querySelector<HTMLElement>('input, textarea, select')?.focus()
    return () => shown?.close()
  }, [])
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      // Closed here, at once: `close` comes some time after the browser has closed it, and would undo what has opened it again
      // meanwhile, such as Enter after Escape.
      onCancel={(event) => {
        // That of a field for files bubbles.
        if (event.target !== dialog.current) return
        event.preventDefault()
        onClose()
      }}
      // Where the browser has closed it without asking, as it may when nothing in it was touched.
      onClose={() => dialog.current?.open || onClose()}
    >
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" className="quiet" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  )
}

interface FieldProps {
  readonly label: string
  readonly hint?: string | undefined
}

export function Field({ label, hint, ...input }: FieldProps & ComponentProps<'input'>) {
  const id = useId()
  return (
    <p className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} aria-describedby={hint ? `${id}-hint` : undefined} {...input} />
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </p>
  )
}

export function TextField({ label, hint, ...input }: FieldProps & ComponentProps<'textarea'>) {
  const id = useId()
  return (
    <p className="field">
      <label htmlFor={id}>{label}</label>
      <textarea id={id} aria-describedby={hint ? `${id}-hint` : undefined} {...input} />
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </p>
  )
}

export function SelectField({ label, children, ...input }: FieldProps & ComponentProps<'select'>) {
  const id = useId()
  return (
    <p className="field">
      <label htmlFor={id}>{label}</label>
      <select id={id} {...input}>
        {children}
      </select>
    </p>
  )
}

/** Returns the texts of a form by the names of its fields. */
export function textsOf(form: HTMLFormElement): Readonly<Record<string, string>> {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]))
}

/** The same without those of empty fields. */
export function filledTextsOf(form: HTMLFormElement): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(textsOf(form)).filter(([, text]) => text !== ''))
}
