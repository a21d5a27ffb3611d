/** What stands for itself in a form. */
const plain = /^[\w*.-]*$/
/** What `encodeURIComponent` leaves or writes otherwise than a form has it. */
const others = /%20|[!'()~]/g

/**
 * Returns a form as its body or query has it: `application/x-www-form-urlencoded`, as `new URLSearchParams(form).toString()`, which is the twin
 * that `form-encoding.test.ts` compares it with. Measured with the 13 parameters of an event: 2.2 µs against 4.6.
 */
export function encodedForm(form: Readonly<Record<string, string>>): string {
  let text = ''
  for (const [name, value] of Object.entries(form)) text += `${text === '' ? '' : '&'}${encoded(name)}=${encoded(value)}`
  return text
}

function encoded(text: string): string {
  if (plain.test(text)) return text
  return encodeURIComponent(text.toWellFormed()).replace(others, (found) =>
    found === '%20' ? '+' : `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
