import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { useAct } from '../act.ts'
import { post } from '../api.ts'
import { channels } from '../channels.ts'
import { Act } from '../parts/act.tsx'
import { announce } from '../parts/announce.tsx'
import { Field, Loading, Problem, SelectField, TextField, textsOf } from '../parts/basics.tsx'
import { Phone } from '../parts/phone.tsx'
import { placeOf, queryClient } from '../queries.ts'
import type { Received } from '../threads.ts'
import { useNow } from '../time.tsx'
import { base64, writtenMail } from '../written-mail.ts'

const route = getRouteApi('/services/$service/simulator')

const ways = {
  sms: 'text message (SMS)',
  mms: 'picture message (MMS)',
  group: 'group picture message',
  whatsapp: 'WhatsApp message',
  email: 'mail',
} as const

type Way = keyof typeof ways

function isWay(name: string | undefined): name is Way {
  return name !== undefined && Object.hasOwn(ways, name)
}

/** Be a customer: write as they do, by the road that a carrier takes, and see what comes back. */
export function Simulator() {
  const { service } = route.useParams()
  const { as: from, to, by } = route.useSearch()
  const way = isWay(by) ? by : 'sms'
  const place = useQuery(placeOf(service))
  const navigate = route.useNavigate()
  const [received, setReceived] = useState<Received>()
  const account = place.data?.account_sid
  return (
    <main>
      <header className="page-header">
        <h1>Be a customer</h1>
      </header>
      <Problem error={place.error} />
      {!place.data && !place.error && <Loading what="the service" />}
      {account !== undefined && (
        <div className="simulator">
          <Writer
            key={way}
            account={account}
            way={way}
            from={from}
            to={to}
            onWay={(chosen) => void navigate({ search: { by: chosen } })}
            onReceived={(now, written) => {
              setReceived(now)
              void queryClient.invalidateQueries({ queryKey: ['threads'] })
              void navigate({ params: { service: now?.service_sid ?? service }, search: written })
            }}
          />
          <div>
            {received && (
              <p role="status">
                Received in{' '}
                <Link
                  to="/services/$service/conversations/$sid"
                  params={{ service: received.service_sid, sid: received.conversation_sid }}
                >
                  {received.created ? 'a new conversation' : 'the conversation'}
                </Link>
              </p>
            )}
            {from === undefined ? (
              <p className="row-note">What somebody with this address has written, and what was sent to them, is shown here.</p>
            ) : (
              <Phone
                account={account}
                service={service}
                address={from}
                proxy={way === 'group' || way === 'email' ? '' : (to ?? '')}
              />
            )}
          </div>
        </div>
      )}
    </main>
  )
}

interface Written {
  readonly by: Way
  readonly as: string
  readonly to: string
}

interface WriterProps {
  readonly account: string
  readonly way: Way
  readonly from: string | undefined
  readonly to: string | undefined
  readonly onWay: (way: Way) => void
  /** `received`: undefined when a mail was taken and belongs nowhere new. */
  readonly onReceived: (received: Received | undefined, written: Written) => void
}

const placeholders: Readonly<Record<Way, readonly [from: string, to: string]>> = {
  sms: ['+15551234567', '+15557654321'],
  mms: ['+15551234567', '+15557654321'],
  group: ['+15551234567', '+15557654321, +15559876543'],
  whatsapp: ['whatsapp:+15551234567', 'whatsapp:+15557654321'],
  email: ['ann@example.org', 'support@example.com'],
}

function Writer({ account, way, from, to, onWay, onReceived }: WriterProps) {
  const ours = useQuery(channels(account))
  const now = useNow()
  const send = useAct({
    mutationFn: async (form: HTMLFormElement): Promise<void> => {
      const written = writtenOf(form)
      const received = way === 'email' ? await handInMail(written, new Date(now)) : await handIn(account, way, written)
      announce('It was received')
      for (const field of form.querySelectorAll<HTMLInputElement>('textarea, input[type="file"]')) field.value = ''
      onReceived(received, { by: way, as: written.from, to: written.to.join(', ') })
    },
  })
  const [example, exampleTo] = placeholders[way]
  const hasFiles = way !== 'sms'
  return (
    <form
      className="form"
      aria-label="Write"
      onSubmit={(event: FormEvent<HTMLFormElement>) => {
        event.preventDefault()
        send.mutate(event.currentTarget)
      }}
    >
      <SelectField label="Write a" name="by" value={way} onChange={({ target: { value } }) => isWay(value) && onWay(value)}>
        {Object.entries(ways).map(([name, words]) => (
          <option key={name} value={name}>
            {words}
          </option>
        ))}
      </SelectField>
      <Field label="From" name="from" required placeholder={example} defaultValue={from} hint="Of the customer" />
      <Field
        label="To"
        name="to"
        required
        placeholder={exampleTo}
        defaultValue={to}
        list="our-addresses"
        hint={
          way === 'group' ? 'An address of yours, and of the others in the group, with commas between' : 'An address of yours'
        }
      />
      <datalist id="our-addresses">
        {ours.data?.map(({ sid, proxy_address }) => (
          <option key={sid} value={proxy_address} />
        ))}
      </datalist>
      {way === 'whatsapp' && <Field label="Profile name" name="profile" hint="As WhatsApp tells it" />}
      {way === 'email' && <Field label="Subject" name="subject" />}
      <TextField label="Text" name="text" rows={4} required={!hasFiles} />
      {hasFiles && <Field label="Files" name="files" type="file" multiple />}
      <Problem error={send.error} />
      <Act needs="act" type="submit" className="primary" disabled={send.isPending}>
        {send.isPending ? 'Handing it over …' : 'Send'}
      </Act>
    </form>
  )
}

function writtenOf(form: HTMLFormElement) {
  const { from = '', to = '', text = '', subject = '', profile = '' } = textsOf(form)
  // A field of files without one has an empty file.
  const files = new FormData(form).getAll('files').filter((file) => file instanceof File && file.size > 0) as File[]
  return { from: from.trim(), to: to.split(',').map((one) => one.trim()), text, subject, profile, files }
}

type Given = ReturnType<typeof writtenOf>

/** As a carrier hands it over. */
async function handIn(account: string, way: Way, { from, to, text, profile, files }: Given): Promise<Received> {
  const of = (address: string) => (way === 'whatsapp' && /^\+?\d/.test(address) ? `whatsapp:${address}` : address)
  const media = await Promise.all(
    files.map(async (file) => ({
      content: base64(new Uint8Array(await file.arrayBuffer())),
      content_type: file.type || 'application/octet-stream',
      filename: file.name,
    })),
  )
  const [first = ''] = to
  return post('/admin/v1/inbound', {
    json: {
      account_sid: account,
      from: of(from),
      to: way === 'group' ? to : of(first),
      ...(text !== '' && { body: text }),
      ...(media.length > 0 && { media }),
      ...(profile !== '' && { profile_name: profile }),
    },
  })
}

interface TakenMail {
  readonly outcome: 'received' | 'duplicate' | 'reported' | 'dropped'
  readonly why: string | null
  readonly conversation_sid: string | null
}

/** As a mail server hands it over. */
async function handInMail(given: Given, date: Date): Promise<Received | undefined> {
  const [to = ''] = given.to
  const mail = await writtenMail({ ...given, to, inReplyTo: undefined, date })
  const query = new URLSearchParams({ from: given.from, to })
  const { results } = await post<{ results: readonly TakenMail[] }>(`/admin/v1/mail?${query}`, { mail })
  const [taken] = results
  if (!taken?.conversation_sid) throw new Error(`The mail was not received: ${taken?.why ?? 'nobody has this mailbox'}`)
  const { service_sid } = await queryClient.fetchQuery(placeOf(taken.conversation_sid))
  return { service_sid, conversation_sid: taken.conversation_sid, created: false }
}
