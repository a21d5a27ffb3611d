import { useId, useRef, useState } from 'react'
import { post } from '../api.ts'
import { queryClient } from '../queries.ts'
import { Field, TextField } from './basics.tsx'
import { FormDialog } from './form-dialog.tsx'

/** Lets a server in test mode begin anew with what a seed says. */
export function Seed() {
  const [open, setOpen] = useState(false)
  const text = useRef<HTMLTextAreaElement>(null)
  const id = useId()
  const read = async (file: File | undefined) => {
    const content = await file?.text()
    if (content !== undefined && text.current) text.current.value = content
  }
  return (
    <section aria-labelledby={id}>
      <h2 id={id}>Seed</h2>
      <p className="row-note">Accounts and everything in them, as JSON or YAML: what a reset goes back to.</p>
      <p>
        <button type="button" onClick={() => setOpen(true)}>
          Begin with a seed
        </button>
      </p>
      {open && (
        <FormDialog
          title="Begin with a seed?"
          act="Begin"
          danger
          done="The server is as the seed says"
          onClose={() => setOpen(false)}
          run={async ({ seed }) => {
            await post('/admin/v1/reset', { json: { seed } })
            await queryClient.invalidateQueries()
          }}
        >
          <p>
            Everything that is stored is deleted, and what the seed says is stored in its place. Until the server stops, a reset
            goes back to it. One with mistakes is refused, and nothing is changed.
          </p>
          <TextField label="Seed" name="seed" rows={12} required spellCheck={false} ref={text} />
          <Field
            label="From a file"
            type="file"
            accept=".json,.yaml,.yml"
            onChange={({ currentTarget: { files } }) => void read(files?.[0])}
          />
        </FormDialog>
      )}
    </section>
  )
}
