import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useRef, useState } from 'react'
import { post } from '../api.ts'
import { disclosed, type Erasure, erasure, erasuresPath, type Named, rowsOf } from '../erasures.ts'
import { queryClient } from '../queries.ts'
import { Time } from '../time.tsx'
import { Field, Problem, SelectField } from './basics.tsx'
import { FormDialog } from './form-dialog.tsx'

interface OfAccount {
  readonly account: string
  readonly onClose: () => void
}

/** What is asked of the server, first as a dry run. */
type Request = Named & { readonly messages: string; readonly reference?: string }

/** First counts what there is of a person, then erases it when the count is confirmed. */
export function Erasing({ account, onClose }: OfAccount) {
  const [counting, setCounting] = useState<{ readonly request: Request; readonly id: string } | null>(null)
  const led = useRef(false)
  if (counting) return <Confirming account={account} {...counting} onClose={onClose} />
  return (
    <FormDialog
      title="New erasure"
      act="Count"
      done="It is being counted"
      // It closes as well when it has led on to the count.
      onClose={() => led.current || onClose()}
      run={async (given) => {
        const { messages = 'redact', reference = '' } = given
        const request = { ...namedBy(given), messages, ...(reference && { reference }) }
        const { id } = await post<Erasure>(erasuresPath(account), { json: { ...request, dry_run: true } })
        await queryClient.invalidateQueries({ queryKey: ['erasures', account] })
        led.current = true
        setCounting({ request, id })
      }}
    >
      <WhoFields />
      <SelectField label="Messages of the person" name="messages" defaultValue="redact">
        <option value="redact">redact: they stay, without author and content</option>
        <option value="delete">delete</option>
      </SelectField>
      <Field
        label="Reference"
        name="reference"
        maxLength={256}
        autoComplete="off"
        hint="Such as the number of a ticket. It is kept, and must not name the person."
      />
      <p>It is only counted at first.</p>
    </FormDialog>
  )
}

interface ConfirmingProps extends OfAccount {
  readonly request: Request
  /** The dry run. */
  readonly id: string
}

function Confirming({ account, request, id, onClose }: ConfirmingProps) {
  const dry = useQuery(erasure(account, id))
  const navigate = useNavigate()
  const total = dry.data?.status === 'done' ? rowsOf(dry.data) : null
  return (
    <FormDialog
      title="Erase the person?"
      act="Erase"
      danger
      disabled={total === null}
      done="The erasure has begun"
      onClose={onClose}
      run={async () => {
        const made = await post<Erasure>(erasuresPath(account), { json: request })
        await queryClient.invalidateQueries({ queryKey: ['erasures', account] })
        await navigate({ to: '/accounts/$account/privacy/$erasure', params: { account, erasure: made.id } })
      }}
    >
      <Problem error={dry.error} retry={() => void dry.refetch()} />
      <p role="status">
        {dry.data && total === null && (
          <>
            It is being counted: <Progress of={dry.data} />
          </>
        )}
        {total === 0 &&
          'Nothing of the person was found. Erased all the same, they are erased again after an older backup is restored.'}
        {dry.data && total !== null && total > 0 && `${rowsInWords(dry.data)} would be erased.`}
      </p>
      {dry.data && total !== null && (
        <>
          {total > 0 && <Counts of={dry.data} />}
          <p>It cannot be undone. What is written until it is done is erased, too.</p>
          <Field
            label={`The number of rows, ${total}, to be sure`}
            name="sure"
            required
            pattern={String(total)}
            inputMode="numeric"
            autoComplete="off"
          />
        </>
      )}
    </FormDialog>
  )
}

/** Downloads what there is of a person. */
export function Disclosing({ account, onClose }: OfAccount) {
  return (
    <FormDialog
      title="Disclose a person"
      act="Download"
      done={(rows: number) => `A file with ${inWords(rows)} was downloaded`}
      onClose={onClose}
      run={async (given) => {
        const { file, rows } = await disclosed(account, namedBy(given))
        save(file, `disclosure-${account}.jsonl`)
        return rows
      }}
    >
      <WhoFields />
      <p>A file of JSON lines with what belongs to the person. Looking through many rows takes its time: leave the page open.</p>
    </FormDialog>
  )
}

function WhoFields() {
  return (
    <>
      <SelectField label="The person is named by" name="by" defaultValue="identity">
        <option value="identity">an identity</option>
        <option value="address">an address</option>
      </SelectField>
      <Field
        label="Identity or address"
        name="who"
        required
        maxLength={256}
        autoComplete="off"
        spellCheck={false}
        hint="What your application calls a user; or a phone number, which stands for the person in every channel, or a mail address"
      />
    </>
  )
}

function namedBy({ by, who = '' }: Readonly<Record<string, string>>): Named {
  return by === 'address' ? { address: who } : { identity: who }
}

function save(file: Blob, name: string): void {
  const url = URL.createObjectURL(file)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // The browser reads it after this.
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

/** How far an erasure has come. */
export function Progress({ of }: { readonly of: Erasure }) {
  const { status, step, failures, date_retry } = of
  if (status === 'done') return rowsInWords(of)
  return (
    <>
      {step === null ? 'looking for the person' : `looking through ${spaced(step)}`}, {rowsInWords(of)} so far
      {failures > 0 && `, failed ${failures === 1 ? 'once' : `${failures} times`}`}
      {date_retry !== null && (
        <>
          , next try <Time at={date_retry} />
        </>
      )}
    </>
  )
}

/** The rows of each kind of which there are any. */
export function Counts({ of }: { readonly of: Erasure }) {
  const found = Object.entries(of.counts).filter(([, count]) => count > 0)
  if (found.length === 0) return <p>{of.status === 'done' ? 'Nothing of the person was found.' : 'Nothing so far.'}</p>
  return (
    <dl className="facts">
      {found.map(([kind, count]) => (
        <div key={kind}>
          <dt>{spaced(kind)}</dt>
          <dd>{count.toLocaleString('en')}</dd>
        </div>
      ))}
    </dl>
  )
}

function spaced(kind: string): string {
  return kind.replaceAll('_', ' ')
}

export function rowsInWords(of: Erasure): string {
  return inWords(rowsOf(of))
}

function inWords(rows: number): string {
  return rows === 1 ? '1 row' : `${rows.toLocaleString('en')} rows`
}
