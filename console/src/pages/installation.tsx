import { useQuery } from '@tanstack/react-query'
import { nodes, storage } from '../configuration.ts'
import { copy, Loading, Problem } from '../parts/basics.tsx'
import { ConfigPage } from '../parts/config-page.tsx'
import { size } from '../parts/size.ts'
import { Time } from '../time.tsx'

/** Which processes serve the installation, and what it takes on disk. */
export function Installation() {
  return (
    <ConfigPage title="Nodes and storage">
      {() => (
        <>
          <Nodes />
          <Storage />
        </>
      )}
    </ConfigPage>
  )
}

function Nodes() {
  const all = useQuery(nodes)
  if (!all.data) return all.error ? <Problem error={all.error} retry={() => void all.refetch()} /> : <Loading what="nodes" />
  const { slots, free_slots } = all.data
  return (
    <section>
      <h2>Nodes</h2>
      {free_slots > 0 && (
        <p className="invalid">
          Nobody has {free_slots} of {slots} slots: their deliveries wait until a node takes them, which lasts seconds.
        </p>
      )}
      <ul className="rows" aria-label="Nodes">
        {all.data.nodes.map((node) => (
          <li key={node.id} className="key">
            <div className="row">
              <span className="row-title">{node.id}</span>
              <span className="badge">{node.this_node ? 'this one' : 'alive'}</span>
              <span className="row-note">
                {`version ${node.version ?? 'unknown'} · ${node.slots.length} of ${slots} slots · `}
                {node.pending.toLocaleString('en')} {node.pending === 1 ? 'delivery waits' : 'deliveries wait'}
              </span>
              <span className="row-time">
                {node.oldest_pending === null ? (
                  'nothing waits'
                ) : (
                  <>
                    the oldest of <Time at={node.oldest_pending} />
                  </>
                )}
              </span>
            </div>
          </li>
        ))}
      </ul>
      <Acts onRead={() => void all.refetch()} resource={all.data} />
    </section>
  )
}

function Storage() {
  const read = useQuery(storage)
  if (!read.data) return read.error ? <Problem error={read.error} retry={() => void read.refetch()} /> : <Loading what="sizes" />
  const { database_bytes, tables, media, disk } = read.data
  const atLeast = media.complete ? '' : 'more than '
  return (
    <section>
      <h2>Storage</h2>
      <dl className="facts">
        <dt>Database</dt>
        <dd>{size(database_bytes)}</dd>
        <dt>Media</dt>
        <dd>{`${atLeast}${size(media.bytes)} in ${atLeast}${media.files.toLocaleString('en')} files, as uploaded`}</dd>
        {media.place !== 'folder' && (
          <>
            <dt>Bucket of media</dt>
            <dd>{media.place}</dd>
          </>
        )}
        {disk && (
          <>
            <dt>Disk of the data folder</dt>
            <dd>{`${size(disk.free_bytes)} free of ${size(disk.bytes)}`}</dd>
          </>
        )}
      </dl>
      {tables.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
        <section className="matrix" tabIndex={0} aria-label="Tables">
          <table>
            <thead>
              <tr>
                <th scope="col">Table</th>
                <th scope="col">Size, with indexes</th>
                <th scope="col">Rows, about</th>
              </tr>
            </thead>
            <tbody>
              {tables.map(({ name, bytes, rows }) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>{size(bytes)}</td>
                  <td>{rows === null ? 'unknown' : rows.toLocaleString('en')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      <Acts onRead={() => void read.refetch()} resource={read.data} />
    </section>
  )
}

function Acts({ onRead, resource }: { readonly onRead: () => void; readonly resource: object }) {
  return (
    <p className="acts">
      <button type="button" onClick={onRead}>
        Read again
      </button>
      <button type="button" onClick={() => copy(JSON.stringify(resource, null, 2), 'The resource')}>
        Copy as JSON
      </button>
    </p>
  )
}
