import { useEffect, useId, useRef, useState } from 'react'
import { attributesProblem, bytesOf, indented, maxAttributesBytes } from '../json.ts'

interface AttributesFieldProps {
  readonly of: keyof typeof maxAttributesBytes
  readonly defaultValue: string
}

/** Attributes as they are stored, to the last space: JSON that is checked while it is typed, as the server checks it. */
export function AttributesField({ of, defaultValue }: AttributesFieldProps) {
  const id = useId()
  const max = maxAttributesBytes[of]
  const field = useRef<HTMLTextAreaElement>(null)
  const [text, setText] = useState(defaultValue)
  const problem = attributesProblem(text, max)
  // A form with it is not sent.
  useEffect(() => field.current?.setCustomValidity(problem ?? ''), [problem])
  return (
    <div className="field">
      <label htmlFor={id}>Attributes</label>
      <textarea
        id={id}
        ref={field}
        name="attributes"
        className="code"
        rows={8}
        spellCheck={false}
        aria-invalid={problem !== null}
        aria-describedby={`${id}-check`}
        value={text}
        onChange={({ target }) => setText(target.value)}
      />
      <small id={`${id}-check`} aria-live="polite" className={problem === null ? undefined : 'invalid'}>
        {problem ?? `JSON, ${bytesOf(text).toLocaleString('en')} of ${max.toLocaleString('en')} bytes`}
      </small>
      <p>
        <button type="button" disabled={problem !== null} onClick={() => setText(indented(text))}>
          Indent
        </button>
      </p>
    </div>
  )
}
