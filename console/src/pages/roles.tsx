import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { notFor, type Permission, permissions } from '../../../src/resources/permissions.ts'
import { useAct } from '../act.ts'
import { post, type Role, remove, servicePath } from '../api.ts'
import { type ServiceConfiguration, serviceConfiguration } from '../configuration.ts'
import { Act } from '../parts/act.tsx'
import { announce } from '../parts/announce.tsx'
import { Dialog, Field, Loading, Problem, SelectField, Sid } from '../parts/basics.tsx'
import { ConfigPage, type Scope } from '../parts/config-page.tsx'
import { CopyResource } from '../parts/copy-resource.tsx'
import { FormDialog } from '../parts/form-dialog.tsx'
import { queryClient, roles } from '../queries.ts'

/** What who may do: the roles of a service. */
export function Roles() {
  const [creating, setCreating] = useState(false)
  return (
    <ConfigPage
      title="Roles"
      acts={
        <Act className="primary" onClick={() => setCreating(true)}>
          New role
        </Act>
      }
    >
      {(scope) => (
        <>
          <p>They hold for client SDKs. What a request of the account itself does, no role forbids.</p>
          <Matrices {...scope} />
          {creating && <NewRole {...scope} onClose={() => setCreating(false)} />}
        </>
      )}
    </ConfigPage>
  )
}

function rolesPath(service: string): string {
  return `${servicePath(service)}/Roles`
}

function Matrices({ account, service }: Scope) {
  const all = useQuery({ ...roles(account, service), staleTime: 0 })
  const configuration = useQuery(serviceConfiguration(account, service))
  const error = all.error ?? configuration.error
  if (error) return <Problem error={error} retry={() => void (all.error ? all : configuration).refetch()} />
  if (!all.data || !configuration.data) return <Loading what="roles" />
  const uses = usesOf(configuration.data)
  return (['service', 'conversation'] as const).map((type) => (
    <section key={type}>
      <h2>{type === 'service' ? 'In the service' : 'In a conversation'}</h2>
      <Matrix account={account} service={service} type={type} roles={all.data.filter((role) => role.type === type)} uses={uses} />
    </section>
  ))
}

/** Whose role each default of the service is, by its SID. */
function usesOf(of: ServiceConfiguration): ReadonlyMap<string, string> {
  return new Map([
    [of.default_chat_service_role_sid, 'users'],
    [of.default_conversation_role_sid, 'participants'],
    [of.default_conversation_creator_role_sid, 'creators'],
  ])
}

interface MatrixProps extends Scope {
  readonly type: 'service' | 'conversation'
  readonly roles: readonly Role[]
  readonly uses: ReadonlyMap<string, string>
}

/** A column for each role, a row for each permission that a role of this type may have. */
function Matrix({ account, service, type, roles, uses }: MatrixProps) {
  /** What was changed and is not saved yet. */
  const [edits, setEdits] = useState<ReadonlyMap<string, ReadonlySet<string>>>(new Map())
  const [shown, setShown] = useState<string | null>(null)
  const chosen = (role: Role) => edits.get(role.sid) ?? new Set(role.permissions)
  const changed = roles.filter(
    (role) => chosen(role).size !== role.permissions.length || !role.permissions.every((one) => chosen(role).has(one)),
  )
  const save = useAct({
    mutationFn: async () => {
      for (const role of changed) {
        const form = { Permission: [...chosen(role), ...(chosen(role).size === 0 ? [''] : [])] }
        await post(`${rolesPath(service)}/${role.sid}`, { account, form })
      }
    },
    onSuccess: () => {
      announce('The permissions were saved')
      setEdits(new Map())
    },
    onSettled: () => queryClient.invalidateQueries({ queryKey: ['roles', service] }),
  })
  const set = (role: Role, permission: Permission, may: boolean) => {
    const others = [...chosen(role)].filter((one) => one !== permission)
    setEdits(new Map(edits).set(role.sid, new Set(may ? [...others, permission] : others)))
  }
  const open = roles.find(({ sid }) => sid === shown)
  return (
    <>
      <section
        className="matrix"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
        tabIndex={0}
        aria-label={type === 'service' ? 'Roles in the service' : 'Roles in a conversation'}
      >
        <table>
          <thead>
            <tr>
              <th scope="col">Permission</th>
              {roles.map((role) => (
                <th key={role.sid} scope="col">
                  <button type="button" className="quiet" onClick={() => setShown(role.sid)}>
                    {role.friendly_name || role.sid}
                  </button>
                  {uses.has(role.sid) && <small>default of {uses.get(role.sid)}</small>}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {permissions
              .filter((permission) => !notFor[type].includes(permission))
              .map((permission) => (
                <tr key={permission}>
                  <th scope="row">{permission}</th>
                  {roles.map((role) => (
                    <td key={role.sid}>
                      <input
                        type="checkbox"
                        aria-label={`${permission} for ${role.friendly_name}`}
                        checked={chosen(role).has(permission)}
                        onChange={({ target }) => set(role, permission, target.checked)}
                      />
                    </td>
                  ))}
                </tr>
              ))}
          </tbody>
        </table>
      </section>
      <Problem error={save.error} />
      <div className="acts">
        <Act className="primary" disabled={changed.length === 0 || save.isPending} onClick={() => save.mutate()}>
          Save{changed.length > 0 && ` (${changed.length})`}
        </Act>
        {changed.length > 0 && (
          <button type="button" disabled={save.isPending} onClick={() => setEdits(new Map())}>
            Undo
          </button>
        )}
      </div>
      {open && (
        <OneRole account={account} service={service} role={open} use={uses.get(open.sid)} onClose={() => setShown(null)} />
      )}
    </>
  )
}

interface OneRoleProps extends Scope {
  readonly role: Role
  readonly use: string | undefined
  readonly onClose: () => void
}

function OneRole({ account, service, role, use, onClose }: OneRoleProps) {
  const [deleting, setDeleting] = useState(false)
  const path = `${rolesPath(service)}/${role.sid}`
  const { friendly_name, type } = role
  if (deleting) {
    return (
      <FormDialog
        title={`Delete ${friendly_name}?`}
        act="Delete"
        danger
        done="The role was deleted"
        onClose={onClose}
        run={async () => {
          await remove(path, { account })
          await queryClient.invalidateQueries({ queryKey: ['roles', service] })
        }}
      >
        <p>Whoever has it gets the default role of the service in its place. This cannot be undone.</p>
      </FormDialog>
    )
  }
  return (
    <Dialog title={friendly_name || role.sid} onClose={onClose}>
      <p>
        <Sid sid={role.sid} />
      </p>
      {use !== undefined && <p>It is the default of {use}, and cannot be deleted before another one is.</p>}
      <div className="acts">
        <CopyResource
          account={account}
          path={path}
          resource={role}
          makes={{
            path: rolesPath(service),
            form: { FriendlyName: friendly_name, Type: type, Permission: role.permissions },
          }}
        />
        <Act className="danger" disabled={use !== undefined} onClick={() => setDeleting(true)}>
          Delete
        </Act>
      </div>
    </Dialog>
  )
}

function NewRole({ account, service, onClose }: Scope & { readonly onClose: () => void }) {
  const all = useQuery(roles(account, service))
  return (
    <FormDialog
      title="New role"
      act="Create"
      done="The role was created"
      onClose={onClose}
      run={async ({ name, like }) => {
        const model = all.data?.find(({ sid }) => sid === like)
        const form = { FriendlyName: name, Type: model?.type, Permission: model?.permissions }
        await post(rolesPath(service), { account, form })
        await queryClient.invalidateQueries({ queryKey: ['roles', service] })
      }}
    >
      <Field label="Name" name="name" maxLength={64} required hint="A role keeps its name and its kind." />
      <SelectField label="Starts with the permissions of" name="like" required>
        {all.data?.map(({ sid, friendly_name, type }) => (
          <option key={sid} value={sid}>
            {`${friendly_name || sid} (in ${type === 'service' ? 'the service' : 'a conversation'})`}
          </option>
        ))}
      </SelectField>
    </FormDialog>
  )
}
