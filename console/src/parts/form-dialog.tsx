import { useMutation } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { announce } from './announce.tsx'
import { Dialog, Problem, textsOf } from './basics.tsx'

interface FormDialogProps {
  readonly title: string
  readonly act: string
  readonly danger?: boolean
  /** What is said when it is done. */
  readonly done: string
  /** `given`: what the texts leave out: several choices of one name. */
  readonly run: (texts: Readonly<Record<string, string>>, given: FormData) => Promise<unknown>
  readonly onClose: () => void
  readonly children?: ReactNode
}

/** A dialog with one act. It stays open, and says why, when the server refuses. */
export function FormDialog({ title, act, danger, done, run, onClose, children }: FormDialogProps) {
  const mutation = useMutation({
    mutationFn: (form: HTMLFormElement) => run(textsOf(form), new FormData(form)),
    onSuccess: () => {
      announce(done)
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
          <button type="submit" className={danger ? 'danger' : 'primary'} disabled={mutation.isPending}>
            {act}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
