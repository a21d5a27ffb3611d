import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { permissions } from '../configuration.ts'
import { Field, Loading, Problem, SelectField } from './basics.tsx'
import { FormDialog } from './form-dialog.tsx'

/** The columns of the matrix, as the names of permissions end. */
const actions = ['list', 'read', 'create', 'update', 'delete'] as const

interface NewKeyProps {
  readonly onClose: () => void
  readonly create: (key: {
    readonly friendly_name: string
    readonly policy?: { readonly allow: readonly string[] }
  }) => Promise<void>
}

/** A new API key, and what it may do. */
export function NewKey({ onClose, create }: NewKeyProps) {
  const [restricted, setRestricted] = useState(false)
  return (
    <FormDialog
      title="New API key"
      act="Create"
      done="The key was created"
      onClose={onClose}
      run={({ name = '' }, given) => {
        const allow = given.getAll('allow').map(String)
        return create({ friendly_name: name, ...(restricted && { policy: { allow } }) })
      }}
    >
      <Field label="Name" name="name" maxLength={256} />
      <SelectField
        label="It may do"
        value={restricted ? 'restricted' : 'standard'}
        onChange={({ target }) => setRestricted(target.value === 'restricted')}
      >
        <option value="standard">everything that the account may do</option>
        <option value="restricted">only what is chosen here</option>
      </SelectField>
      {restricted && <Choices />}
    </FormDialog>
  )
}

/** What a restricted key can be allowed: a row for each resource, a column for each action. */
function Choices() {
  const all = useQuery(permissions)
  if (!all.data) return all.error ? <Problem error={all.error} /> : <Loading what="the permissions" />
  const resources = [...new Set(all.data.map(({ permission }) => permission.slice(0, permission.lastIndexOf('/'))))]
  const known = new Set(all.data.map(({ permission }) => permission))
  return (
    <section
      className="matrix"
      aria-label="Permissions"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys
      tabIndex={0}
    >
      <table>
        <thead>
          <tr>
            <th scope="col">Resource</th>
            {actions.map((action) => (
              <th key={action} scope="col">
                {action}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {resources.map((resource) => (
            <tr key={resource}>
              <th scope="row">{nameOf(resource)}</th>
              {actions.map((action) => (
                <td key={action}>
                  {known.has(`${resource}/${action}`) && (
                    <input
                      type="checkbox"
                      name="allow"
                      value={`${resource}/${action}`}
                      aria-label={`${action} ${nameOf(resource)}`}
                    />
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

/** Returns what a permission is about, without the product. */
function nameOf(resource: string): string {
  return resource.replace('/twilio/conversations/', '')
}
