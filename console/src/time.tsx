import { useQuery } from '@tanstack/react-query'
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react'
import { server } from './queries.ts'
import { useMay } from './rights.ts'
import { useSetting } from './settings.ts'

/** The time of the server, which a test may have moved; it is redrawn each second. */
const Now = createContext(Date.now())

/** One interval for the whole page. */
export function NowProvider({ children }: { readonly children: ReactNode }) {
  // Who may not ask for it has the time of the browser.
  const { data, dataUpdatedAt } = useQuery({ ...server, enabled: useMay('read') })
  const offset = data ? Date.parse(data.now) - dataUpdatedAt : 0
  const [local, setLocal] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setLocal(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  return <Now.Provider value={local + offset}>{children}</Now.Provider>
}

export function useNow(): number {
  return useContext(Now)
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' })
const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const

function inWords(ms: number): string {
  const [unit, size] = units.find(([, size]) => Math.abs(ms) >= size) ?? ['second', 1000]
  return relative.format(Math.trunc(ms / size), unit)
}

/** Such as `1 d 02:03:04`; two places but for days. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000))
  const pad = (value: number) => String(value).padStart(2, '0')
  const days = Math.floor(seconds / 86_400)
  const clock = `${pad(Math.floor(seconds / 3600) % 24)}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`
  return days > 0 ? `${days} d ${clock}` : clock
}

/** How long something took, such as `12 ms`, `1.5 s`, `2 min 5 s` or `3 d`. */
export function lengthInWords(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 10_000) return `${Math.floor(ms / 100) / 10} s`
  const sizes = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ] as const
  const first = sizes.findIndex(([, size]) => ms >= size)
  let rest = ms
  const parts = sizes.slice(first, first + 2).map(([unit, size]) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return count === 0 ? '' : `${count} ${unit}`
  })
  return parts.filter(Boolean).join(' ')
}

/** An instant in the reader's way: relative or absolute, in their zone or in UTC. The other is in its title. */
export function Time({ at }: { readonly at: string | number }) {
  const now = useNow()
  const [style] = useSetting('time')
  const [zone] = useSetting('zone')
  const format = useMemo(
    () =>
      new Intl.DateTimeFormat('en-GB', {
        dateStyle: 'medium',
        timeStyle: 'medium',
        ...(zone === 'utc' && { timeZone: 'UTC' }),
      }),
    [zone],
  )
  const date = new Date(at)
  const absolute = `${format.format(date)}${zone === 'utc' ? ' UTC' : ''}`
  const words = inWords(date.getTime() - now)
  return (
    <time dateTime={date.toISOString()} title={style === 'relative' ? absolute : words}>
      {style === 'relative' ? words : absolute}
    </time>
  )
}

/** A deadline that comes nearer. */
export function Countdown({ to }: { readonly to: string }) {
  const now = useNow()
  const left = Date.parse(to) - now
  return (
    <time className="countdown" dateTime={to} title={new Date(to).toISOString()}>
      {left <= 0 ? 'now' : countdown(left)}
    </time>
  )
}

/** When something was made and last changed, in a list of facts. */
export function Dates({ created, updated }: { readonly created: string; readonly updated?: string }) {
  return (
    <>
      <dt>Created</dt>
      <dd>
        <Time at={created} />
      </dd>
      {updated !== undefined && (
        <>
          <dt>Updated</dt>
          <dd>
            <Time at={updated} />
          </dd>
        </>
      )}
    </>
  )
}
