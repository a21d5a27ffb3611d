import { copy, Dialog, Sid } from './basics.tsx'

export interface NewSecret {
  /** What it is, such as `Auth token`. */
  readonly name: string
  readonly sid: string
  readonly secret: string
}

/** What is shown only once. It is kept nowhere: closing it forgets it. */
export function Secret({ made: { name, sid, secret }, onClose }: { readonly made: NewSecret; readonly onClose: () => void }) {
  return (
    <Dialog title={name} onClose={onClose}>
      <p>This is shown only once: keep it now, where others cannot read it.</p>
      <dl className="facts">
        <dt>SID</dt>
        <dd>
          <Sid sid={sid} />
        </dd>
        <dt>{name}</dt>
        <dd>
          <code>{secret}</code>
        </dd>
      </dl>
      <footer>
        <button type="button" onClick={() => copy(secret, name)}>
          Copy
        </button>
        <button type="button" className="primary" onClick={onClose}>
          Done
        </button>
      </footer>
    </Dialog>
  )
}
