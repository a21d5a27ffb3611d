import { useRef, useState } from 'react'
import { useAct } from '../act.ts'
import { type Participant, post } from '../api.ts'
import { isolated } from '../names.ts'
import { useRefusal } from '../rights.ts'
import { useSetting } from '../settings.ts'
import { useActing, useShown } from '../shown.tsx'
import { Act } from './act.tsx'
import { Problem } from './basics.tsx'

export function nameOf({ identity, messaging_binding, sid }: Participant): string {
  return identity ?? messaging_binding?.address ?? sid
}

/** The value of the choice to let somebody write from outside, before their SID. */
const fromOutside = 'from outside '

/** Somebody with a phone writes from their address to one of ours. Mail comes in by mail alone. */
function canWriteFromOutside({ messaging_binding: binding }: Participant): boolean {
  return binding?.address !== undefined && Boolean(binding.proxy_address) && binding.type !== 'email'
}

/** Writes a message as `system`, as any participant, or lets somebody write from outside as a carrier would hand it over. */
export function Composer({ people, onSent }: { readonly people: readonly Participant[]; readonly onSent: () => void }) {
  const { state, account } = useShown()
  const { path, options } = useActing()
  const [webhooks, setWebhooks] = useSetting('webhooks')
  const [author, setAuthor] = useState('system')
  const text = useRef<HTMLTextAreaElement>(null)
  const send = useAct({
    mutationFn: (body: string) => {
      const outside = people.find(({ sid }) => author === fromOutside + sid)?.messaging_binding
      if (!outside) return post(`${path}/Messages`, { ...options, form: { Author: author, Body: body } })
      const json = { account_sid: account, from: outside.address, to: outside.proxy_address, body }
      return post('/admin/v1/inbound', { json })
    },
    onSuccess: () => {
      if (text.current) text.current.value = ''
      text.current?.focus()
      onSent()
    },
  })
  const submit = () => {
    const body = text.current?.value ?? ''
    if (body.trim() !== '' && !send.isPending) send.mutate(body)
  }
  const refusal = useRefusal('act')
  if (refusal !== null) return <p className="composer-note">{refusal}</p>
  if (state === 'closed') return <p className="composer-note">This conversation is closed: nothing can be written to it.</p>
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
    >
      <Problem error={send.error} />
      <textarea
        ref={text}
        aria-label="Message"
        rows={2}
        placeholder="Write a message"
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
          event.preventDefault()
          submit()
        }}
      />
      <div className="composer-acts">
        <label>
          <span aria-hidden="true">as </span>
          <select aria-label="as" value={author} onChange={(event) => setAuthor(event.target.value)}>
            <option>system</option>
            {people.map((one) => (
              <option key={one.sid} value={nameOf(one)}>
                {nameOf(one)}
              </option>
            ))}
            {people.filter(canWriteFromOutside).map((one) => (
              <option key={one.sid} value={fromOutside + one.sid}>
                {`${isolated(nameOf(one))} from outside`}
              </option>
            ))}
          </select>
        </label>
        <label>
          <input
            type="checkbox"
            checked={webhooks === 'yes'}
            onChange={(event) => setWebhooks(event.target.checked ? 'yes' : 'no')}
          />{' '}
          with webhooks
        </label>
        <Act needs="act" type="submit" className="primary" disabled={send.isPending}>
          Send
        </Act>
      </div>
    </form>
  )
}
