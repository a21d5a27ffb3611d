import type { Reader } from '../storage/database.ts'
import { type Belonging, belongings, type Key, type Row, walk } from './belongings.ts'
import { type Found, isNamed, type Person, withFound } from './person.ts'

/** What each table says of the person: other SIDs and names of theirs. */
const says: readonly { readonly table: Belonging['table']; readonly found: (row: Row, person: Person) => Found }[] = [
  { table: 'users', found: (row) => ({ users: texts(row.sid), called: texts(row.friendly_name) }) },
  {
    table: 'participants',
    found: (row) => ({
      participants: texts(row.sid),
      conversations: texts(row.conversation_sid),
      called: texts(row.binding_name),
    }),
  },
  {
    // Whoever has left a conversation is known by what they wrote.
    table: 'messages',
    found: (row, person) =>
      typeof row.author === 'string' && isNamed(person, row.author)
        ? { participants: texts(row.participant_sid), conversations: texts(row.conversation_sid) }
        : {},
  },
]

/** Looks for a person in all conversations of their account. Returns them with the SIDs and names that were found. */
export async function found(read: Reader, start: Person): Promise<Person> {
  let person = start
  for (const { table, found: of } of says) {
    const belonging = belongings.find((one) => one.table === table)
    let after: Key | null = null
    while (belonging) {
      const looked = await walk(read, belonging, person, after)
      const start = person
      person = withFound(
        start,
        looked.rows.map(({ row }) => of(row, start)),
      )
      after = looked.after
      if (after === null) break
    }
  }
  return person
}

function texts(value: unknown): readonly string[] {
  return typeof value === 'string' && value !== '' ? [value] : []
}
