import type { FastifyPluginAsync } from 'fastify'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { proxyType } from '../resources/conversations/address-formats.ts'
import { newSid } from '../sids.ts'
import { accountBySid } from '../storage/lookups.ts'
import type { ChannelRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { sealCredentials, withoutCredentials } from '../urls.ts'
import { notFound } from './replies.ts'
import { bodyErrors, errors, instant, list, type OperationSchema, object, path, removed, response, sid } from './schemas.ts'

interface OfChannel {
  Params: { sid: string; address: string }
}

const channelsOf = shape<{ account_sid: string }>()((db, a) =>
  db.selectFrom('channels').selectAll().where('account_sid', '=', a.account_sid).orderBy('proxy_address'),
)

const channel = object('Channel', {
  sid: sid('channel', 'SID of the channel'),
  account_sid: sid('account', 'SID of its account'),
  proxy_address: { type: 'string' },
  url: { type: 'string', description: 'Without user name and password' },
  date_created: instant,
  date_updated: instant,
})
const ofAccount = path({ sid: 'SID of the account' })
const ofChannel = path({ sid: 'SID of the account', address: 'The proxy address, such as +15557654321' })
const tags = ['Channels'] as const

const listChannels: OperationSchema = {
  operationId: 'listChannels',
  summary: 'List the channels of an account',
  tags,
  params: ofAccount,
  response: { 200: response('The channels', list('ChannelList', 'channels', channel)), ...errors(400, 404) },
}
const setChannel: OperationSchema = {
  operationId: 'setChannel',
  summary: 'Set the endpoint of a proxy address',
  description: 'Messages from the proxy address are sent to it, and it delivers them.',
  tags,
  params: ofChannel,
  body: {
    title: 'ChannelEndpoint',
    type: 'object',
    properties: {
      url: { type: 'string', maxLength: 2048, description: 'An http or https URL; it may contain a user name and password' },
    },
    required: ['url'],
    additionalProperties: false,
  },
  response: { 200: response('The channel', channel), ...bodyErrors(404) },
}
const deleteChannel: OperationSchema = {
  operationId: 'deleteChannel',
  summary: 'Delete a channel',
  description: 'Further messages from its proxy address are not sent to an endpoint.',
  tags,
  params: ofChannel,
  response: { 204: removed, ...bodyErrors(404) },
}

/** Messaging channels: the endpoint that delivers the messages from a proxy address. */
export function channelRoutes({
  database,
  vault,
  clock,
}: Pick<Installation, 'database' | 'vault' | 'clock'>): FastifyPluginAsync {
  return async (routes) => {
    routes.get<{ Params: { sid: string } }>(
      '/accounts/:sid/channels',
      { schema: listChannels },
      async ({ params: { sid } }, reply) => {
        if (!(await database.read.one(accountBySid, { sid }))) return notFound(reply)
        return { channels: (await database.read.all(channelsOf, { account_sid: sid })).map(toJson) }
      },
    )

    routes.put<OfChannel & { Body: { url: string } }>(
      '/accounts/:sid/channels/:address',
      { schema: setChannel },
      async ({ params, body: { url } }, reply) => {
        const error = validate(params.address, url)
        if (error) return reply.code(400).send({ error })
        const now = clock.now(params.sid)
        const channel: ChannelRow = {
          account_sid: params.sid,
          sid: newSid('channel', now),
          proxy_address: params.address,
          url: sealCredentials(url, (secret) => vault.seal(secret)),
          date_created: now,
          date_updated: now,
        }
        const row = await database.write('setChannel', channel)
        // Only its account can be missing: the channel itself would have been made.
        return row ? toJson(row) : notFound(reply, [params.sid])
      },
    )

    routes.delete<OfChannel>('/accounts/:sid/channels/:address', { schema: deleteChannel }, async ({ params }, reply) => {
      const removed = await database.write('removeChannel', { account_sid: params.sid, proxy_address: params.address })
      return removed ? reply.code(204).send() : notFound(reply)
    })
  }
}

/** Returns what is wrong. Whether the endpoint may be called is checked at each call, as for webhooks. */
function validate(address: string, url: string): string | undefined {
  if (!proxyType(address)) return `${address} is not an address of a known format`
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  return parsed && /^https?:$/.test(parsed.protocol) ? undefined : 'url must be an http or https URL'
}

function toJson(row: ChannelRow) {
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    proxy_address: row.proxy_address,
    url: withoutCredentials(row.url),
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}
