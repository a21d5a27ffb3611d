import type { FastifyPluginAsync } from 'fastify'
import { type Carriers, checkCarrier } from '../channels/carrier.ts'
import { changedChannel } from '../channels/given-channel.ts'
import { type AnyKind, allKinds, kindByName } from '../channels/kinds.ts'
import { mask, SettingError, shownSettings } from '../channels/settings.ts'
import { webhook } from '../channels/webhook.ts'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { canonicalAddress } from '../resources/conversations/address-formats.ts'
import { newSid } from '../sids.ts'
import { accountBySid, channelByAddress } from '../storage/lookups.ts'
import type { ChannelRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { needs, needsInAccount } from './access.ts'
import { notFound } from './replies.ts'
import { bodyErrors, errors, instant, list, type OperationSchema, object, path, removed, response, sid } from './schemas.ts'

interface OfChannel {
  Params: { sid: string; address: string }
}

interface ChannelBody {
  kind?: string
  settings?: object
  url?: string
}

const channelsOf = shape<{ account_sid: string }>()((db, a) =>
  db.selectFrom('channels').selectAll().where('account_sid', '=', a.account_sid).orderBy('proxy_address'),
)

const settings = { type: 'object', additionalProperties: true } as const
const kind = { type: 'string', maxLength: 64, description: 'One of `GET /channel-kinds`' } as const
const channel = object('Channel', {
  sid: sid('channel', 'SID of the channel: providers call `/channels/{sid}`'),
  account_sid: sid('account', 'SID of its account'),
  proxy_address: { type: 'string', description: 'A proxy address or a mailbox' },
  kind: { type: 'string' },
  settings: { ...settings, description: `Secrets are shown as \`${mask}\`` },
  url: { type: ['string', 'null'], description: 'Of the kind `webhook`; without user name and password' },
  date_created: instant,
  date_updated: instant,
})
const ofAccount = path({ sid: 'SID of the account' })
const ofChannel = path({ sid: 'SID of the account', address: 'The address, such as +15557654321 or support@example.com' })
const tags = ['Channels'] as const

const listKinds: OperationSchema = {
  operationId: 'listChannelKinds',
  summary: 'List the kinds of channels with their settings',
  tags,
  response: {
    200: response(
      'The kinds',
      list(
        'ChannelKindList',
        'kinds',
        object('ChannelKind', {
          name: { type: 'string' },
          description: { type: 'string' },
          serves: { type: 'array', items: { type: 'string' }, description: 'The types of addresses that it may carry' },
          settings: {
            type: 'array',
            items: object('ChannelSetting', {
              name: { type: 'string' },
              description: { type: 'string' },
              required: { type: 'boolean' },
              secret: { type: 'boolean', description: `Shown as \`${mask}\`, which given back keeps it` },
              schema: { ...settings, description: 'JSON schema of its values' },
              default: { description: 'The value when it is left out' },
            }),
          },
        }),
      ),
    ),
    ...errors(400),
  },
}
const listChannels: OperationSchema = {
  operationId: 'listChannels',
  summary: 'List the channels of an account',
  tags,
  params: ofAccount,
  response: { 200: response('The channels', list('ChannelList', 'channels', channel)), ...errors(400, 404) },
}
const setChannel: OperationSchema = {
  operationId: 'setChannel',
  summary: 'Set the channel of an address',
  description:
    'Messages from the address are sent by it. `url` alone is the same as the kind `webhook` with that setting. Settings are ' +
    `replaced as a whole; a secret given as \`${mask}\` is kept.`,
  tags,
  params: ofChannel,
  body: {
    title: 'ChannelSettings',
    type: 'object',
    properties: {
      kind,
      settings: { ...settings, description: 'As the kind declares them' },
      url: { type: 'string', maxLength: 2048, description: 'An http or https URL; it may contain a user name and password' },
    },
    additionalProperties: false,
  },
  response: { 200: response('The channel', channel), ...bodyErrors(404) },
}
const deleteChannel: OperationSchema = {
  operationId: 'deleteChannel',
  summary: 'Delete a channel',
  description: 'Messages from its address fail from then on, but for those of a test mode.',
  tags,
  params: ofChannel,
  response: { 204: removed, ...bodyErrors(404) },
}
const checkChannel: OperationSchema = {
  operationId: 'checkChannel',
  summary: 'Check whether the settings of a channel work',
  description: 'It asks the provider; no message is sent.',
  tags,
  params: ofChannel,
  response: {
    200: response(
      'What was found out',
      object('ChannelCheck', { ok: { type: 'boolean' }, says: { type: 'string', description: 'A sentence' } }),
    ),
    ...bodyErrors(404),
  },
}

/** Channels: how the messages of an address are sent. `carriers`: null on the command line, which checks nothing. */
export function channelRoutes(
  { database, vault, clock }: Pick<Installation, 'database' | 'vault' | 'clock'>,
  carriers: Carriers | null,
): FastifyPluginAsync {
  return async (routes) => {
    routes.get('/channel-kinds', { schema: listKinds, config: needs('read', 'none') }, async () => ({
      kinds: allKinds().map(kindToJson),
    }))

    routes.get<{ Params: { sid: string } }>(
      '/accounts/:sid/channels',
      { schema: listChannels, config: needsInAccount('read') },
      async ({ params: { sid } }, reply) => {
        if (!(await database.read.one(accountBySid, { sid }))) return notFound(reply)
        return { channels: (await database.read.all(channelsOf, { account_sid: sid })).map(toJson) }
      },
    )

    routes.put<OfChannel & { Body: ChannelBody }>(
      '/accounts/:sid/channels/:address',
      { schema: setChannel, config: needsInAccount('manage') },
      async ({ params, body }, reply) => {
        const key = keyOf(params)
        try {
          const before = await database.read.one(channelByAddress, key)
          const given = changedChannel(body, key.proxy_address, vault, before)
          const now = clock.now(params.sid)
          const dates = { date_created: now, date_updated: now }
          const row = await database.write('setChannel', { ...key, sid: newSid('channel', now), ...given, ...dates })
          // Only its account can be missing: the channel itself would have been made.
          return row ? toJson(row) : notFound(reply, [params.sid])
        } catch (error) {
          if (error instanceof SettingError) return reply.code(400).send({ error: error.message })
          throw error
        }
      },
    )

    routes.delete<OfChannel>(
      '/accounts/:sid/channels/:address',
      { schema: deleteChannel, config: needsInAccount('manage') },
      async ({ params }, reply) => {
        const removed = await database.write('removeChannel', keyOf(params))
        return removed ? reply.code(204).send() : notFound(reply)
      },
    )

    if (!carriers) return
    routes.post<OfChannel>(
      '/accounts/:sid/channels/:address/check',
      { schema: checkChannel, config: needsInAccount('manage') },
      async ({ params }, reply) => {
        const row = await database.read.one(channelByAddress, keyOf(params))
        if (!row) return notFound(reply)
        const carrier = carriers.of(row)
        const checked = carrier && (await checkCarrier(carriers, carrier))
        return checked ?? reply.code(400).send({ error: `the kind ${row.kind} has no check` })
      },
    )
  }
}

function keyOf({ sid, address }: OfChannel['Params']): Pick<ChannelRow, 'account_sid' | 'proxy_address'> {
  return { account_sid: sid, proxy_address: canonicalAddress(address) }
}

function kindToJson({ name, description, serves, settings }: AnyKind) {
  const declared = Object.entries(settings).map(([setting, { description, schema, secret, default: value }]) => ({
    name: setting,
    description,
    required: value === undefined,
    secret: secret === 'value',
    schema,
    default: value ?? null,
  }))
  return { name, description, serves, settings: declared }
}

function toJson(row: ChannelRow) {
  const kind = kindByName(row.kind)
  // Of another version's kind nothing says what is secret.
  const shown = kind ? shownSettings(kind.settings, row.settings) : {}
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    proxy_address: row.proxy_address,
    kind: row.kind,
    settings: shown,
    url: typeof shown.url === 'string' && row.kind === webhook.name ? shown.url : null,
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}
