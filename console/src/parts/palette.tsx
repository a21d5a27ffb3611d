import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { type KeyboardEvent, useId, useState } from 'react'
import { aSid } from '../api.ts'
import { useCurrentService } from '../current.ts'
import { placeOf } from '../queries.ts'
import { useSetting } from '../settings.ts'
import { Dialog } from './basics.tsx'

interface Command {
  readonly name: string
  readonly run: () => void
}

/** Everything that can be reached without a mouse, by a part of its name. */
export function Palette({ onClose }: { readonly onClose: () => void }) {
  const navigate = useNavigate()
  const service = useCurrentService()
  const account = useQuery({ ...placeOf(service ?? ''), enabled: service !== undefined }).data?.account_sid
  const [theme, setTheme] = useSetting('theme')
  const [zone, setZone] = useSetting('zone')
  const [time, setTime] = useSetting('time')
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const list = useId()
  const conversations = (state: string | undefined) => {
    if (service) void navigate({ to: '/services/$service/conversations', params: { service }, search: { state } })
  }
  const all: readonly Command[] = [
    { name: 'Conversations', run: () => conversations(undefined) },
    { name: 'Active conversations', run: () => conversations('active') },
    { name: 'Closed conversations', run: () => conversations('closed') },
    { name: 'Deliveries', run: () => void navigate({ to: '/deliveries', search: {} }) },
    { name: 'Failed deliveries', run: () => void navigate({ to: '/deliveries', search: { status: 'failed' } }) },
    { name: 'Pending deliveries', run: () => void navigate({ to: '/deliveries', search: { status: 'pending' } }) },
    {
      name: 'Be a customer (simulator)',
      run: () => service && void navigate({ to: '/services/$service/simulator', params: { service }, search: {} }),
    },
    { name: 'Caught mail', run: () => void navigate({ to: '/mail' }) },
    {
      name: 'Privacy: erasures and disclosures',
      run: () => account && void navigate({ to: '/accounts/$account/privacy', params: { account }, search: {} }),
    },
    { name: 'Audit log', run: () => void navigate({ to: '/audit', search: {} }) },
    { name: 'Refused acts', run: () => void navigate({ to: '/audit', search: { outcome: 'refused' } }) },
    { name: 'Search', run: () => void navigate({ to: '/search', search: {} }) },
    { name: 'Clock and timers', run: () => void navigate({ to: '/clock' }) },
    { name: theme === 'dark' ? 'Light theme' : 'Dark theme', run: () => setTheme(theme === 'dark' ? 'light' : 'dark') },
    { name: zone === 'utc' ? 'Local times' : 'Times in UTC', run: () => setZone(zone === 'utc' ? 'local' : 'utc') },
    {
      name: time === 'relative' ? 'Absolute times' : 'Relative times',
      run: () => setTime(time === 'relative' ? 'absolute' : 'relative'),
    },
  ]
  const wanted = text.trim()
  const sid = aSid.test(wanted)
    ? [{ name: `Go to ${wanted}`, run: () => void navigate({ to: '/$sid', params: { sid: wanted } }) }]
    : []
  const look = { name: `Search for ${wanted}`, run: () => void navigate({ to: '/search', search: { q: wanted.slice(0, 256) } }) }
  const found = [
    ...sid,
    ...all.filter(({ name }) => name.toLowerCase().includes(wanted.toLowerCase())),
    ...(wanted && !sid[0] ? [look] : []),
  ]
  const run = (command: Command | undefined) => {
    if (!command) return
    onClose()
    command.run()
  }
  const pressed = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step !== 0) {
      event.preventDefault()
      setAt((before) => (before + step + found.length) % Math.max(1, found.length))
    }
    if (event.key === 'Enter') {
      event.preventDefault()
      run(found[at])
    }
  }
  return (
    <Dialog title="Commands" onClose={onClose}>
      <input
        role="combobox"
        aria-label="Command, SID or words"
        aria-expanded="true"
        aria-controls={list}
        aria-activedescendant={found[at] && `${list}-${at}`}
        className="wide"
        placeholder="A command, a SID or words to search for"
        value={text}
        onChange={(event) => {
          setText(event.target.value)
          setAt(0)
        }}
        onKeyDown={pressed}
      />
      <div id={list} role="listbox" aria-label="Commands" className="palette">
        {found.map((command, i) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the field above
          <div
            key={command.name}
            id={`${list}-${i}`}
            role="option"
            tabIndex={-1}
            aria-selected={i === at}
            onClick={() => run(command)}
          >
            {command.name}
          </div>
        ))}
      </div>
    </Dialog>
  )
}
