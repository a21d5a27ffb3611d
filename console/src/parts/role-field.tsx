import { useQuery } from '@tanstack/react-query'
import { roles } from '../queries.ts'
import { Problem, SelectField } from './basics.tsx'

interface RoleFieldProps {
  readonly account: string
  readonly service: string
  readonly type: 'conversation' | 'service'
  readonly label?: string
  readonly name?: string
  readonly chosen?: string | null
  /** What choosing none means; absent where there has to be one. */
  readonly standard?: string
}

/** One of the roles of a service that are of a type. */
export function RoleField({ account, service, type, label = 'Role', name = 'role', chosen, standard }: RoleFieldProps) {
  const all = useQuery(roles(account, service))
  if (all.error) return <Problem error={all.error} retry={() => void all.refetch()} />
  return (
    <SelectField label={label} name={name} defaultValue={chosen ?? ''} key={String(all.isSuccess)}>
      {standard !== undefined && <option value="">{standard}</option>}
      {all.data
        ?.filter((role) => role.type === type)
        .map(({ sid, friendly_name }) => (
          <option key={sid} value={sid}>
            {friendly_name || sid}
          </option>
        ))}
    </SelectField>
  )
}
