import type { ReactNode } from 'react'
import { useAct } from '../act.ts'
import { announce } from './announce.tsx'
import { Dialog, Problem, textsOf } from './basics.tsx'

interface FormDialogProps<T> {
  readonly title: string
  readonly act: string
  readonly danger?: boolean
  /** While it cannot be done yet. */
  readonly disabled?: boolean
  /** What is said when it is done; it may depend on what came of it. */
  readonly done: string | ((result: T) => string)
  /** `given`: what the texts leave out: several choices of one name. */
  readonly run: (texts: Readonly<Record<string, string>>, given: FormData) => Promise<T>
  readonly onClose: () => void
  readonly children?: ReactNode
}

/** A dialog with one act. It stays open, and says why, when the server refuses. */
export function FormDialog<T>({ title, act, danger, disabled = false, done, run, onClose, children }: FormDialogProps<T>) {
  const mutation = useAct({
    mutationFn: (form: HTMLFormElement) => run(textsOf(form), new FormData(form)),
    onSuccess: (result) => {
      announce(typeof done === 'string' ? done : done(result))
      onClose()
    },
  })
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          mutation.mutate(event.currentTarget)
        }}
      >
        {children}
        <Problem error={mutation.error} />
        <footer>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className={danger ? 'danger' : 'primary'} disabled={disabled || mutation.isPending}>
            {act}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
