import { type ReactNode, useId } from 'react'
import { useAct } from '../act.ts'
import { Act } from './act.tsx'
import { announce } from './announce.tsx'
import { Problem } from './basics.tsx'

interface PageFormProps {
  /** What is shown in it, as it is stored: when that changes, so does the form. */
  readonly of: unknown
  readonly act?: string
  /** What is said when it is done. */
  readonly done: string
  readonly run: (given: FormData) => Promise<unknown>
  readonly children: ReactNode
}

/** A form that is part of a page. It keeps what was typed, and says why, when the server refuses. */
export function PageForm({ of, act = 'Save', done, run, children }: PageFormProps) {
  const mutation = useAct({ mutationFn: run, onSuccess: () => announce(done) })
  return (
    <form
      className="page-form"
      onSubmit={(event) => {
        event.preventDefault()
        mutation.mutate(new FormData(event.currentTarget))
      }}
    >
      <div key={JSON.stringify(of)}>{children}</div>
      <Problem error={mutation.error} />
      <footer>
        <Act type="submit" className="primary" disabled={mutation.isPending}>
          {act}
        </Act>
      </footer>
    </form>
  )
}

interface CheckFieldProps {
  readonly label: string
  readonly name: string
  readonly value?: string
  readonly checked: boolean
  readonly hint?: string
}

/** A choice of yes or no, or one of several of the same name. */
export function CheckField({ label, name, value = 'true', checked, hint }: CheckFieldProps) {
  const id = useId()
  return (
    <p className="check">
      <input type="checkbox" id={id} aria-describedby={hint && `${id}-hint`} name={name} value={value} defaultChecked={checked} />
      <span>
        <label htmlFor={id}>{label}</label>
        {hint && <small id={`${id}-hint`}>{hint}</small>}
      </span>
    </p>
  )
}

/** Returns the text of a field, empty where it has none. */
export function textIn(given: FormData, name: string): string {
  return String(given.get(name) ?? '')
}

/** Returns `true` or `false`, as `/v1` has it. */
export function flagIn(given: FormData, name: string): string {
  return String(given.has(name))
}

/** Returns what is chosen of a name; an empty text alone stands for nothing, which an absent parameter would leave as it was. */
export function choicesIn(given: FormData, name: string): readonly string[] {
  return given.has(name) ? given.getAll(name).map(String) : ['']
}
