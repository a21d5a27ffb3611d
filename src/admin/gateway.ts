import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { ConfigError } from '../config-error.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { Installation } from '../installation/open.ts'
import { accountBySid } from '../storage/lookups.ts'
import { needsInGivenAccount } from './access.ts'
import { bodyErrors, type OperationSchema, object, response, shortText, sid } from './schemas.ts'

const openGateway: OperationSchema = {
  operationId: 'openGateway',
  summary: 'Open the gateway for programs that are not changed',
  description:
    'Opens the proxy and the TLS port on the loopback address of this node, or returns those that are open. Only for callers on the ' +
    'same machine: `parley exec` and `parley env`.',
  tags: ['Gateway'],
  body: {
    title: 'GatewayRequest',
    type: ['object', 'null'],
    properties: { account_sid: { ...shortText, description: 'The first account by default' } },
    additionalProperties: false,
  },
  response: {
    200: response(
      'Where it is, and with which credentials',
      object('Gateway', {
        proxy_url: { type: 'string', description: 'URL of the proxy' },
        tls_port: {
          type: 'integer',
          description: 'Port on 127.0.0.1 that serves conversations.twilio.com and tsock.us1.twilio.com with TLS',
        },
        authority: { type: 'string', description: 'The certificate of the authority to trust, PEM' },
        account_sid: sid('account', 'SID of the account'),
        auth_token: { type: 'string', description: 'Its auth token' },
      }),
    ),
    ...bodyErrors(403, 404, 409),
  },
}

/** The gateway, and the credentials that a program behind it needs. */
export function gatewayRoutes(
  { database, vault, account, log }: Pick<Installation, 'database' | 'vault' | 'account' | 'log'>,
  gateway: Pick<Gateway, 'open'>,
): FastifyPluginAsync {
  return async (routes) => {
    routes.post<{ Body: { account_sid?: string } | null }>(
      '/',
      { schema: openGateway, config: needsInGivenAccount('manage', account.sid) },
      async (request, reply) => {
        if (!isOnThisMachine(request)) {
          return reply.code(403).send({ error: 'the gateway is for programs on the machine of the server only' })
        }
        const sid = request.body?.account_sid ?? account.sid
        const row = await database.read.one(accountBySid, { sid })
        if (!row) return reply.code(404).send({ error: `the account ${sid} was not found` })
        const opened = await gateway.open().catch((error: unknown) => {
          if (error instanceof ConfigError) return error
          throw error
        })
        if (opened instanceof ConfigError) return reply.code(409).send({ error: opened.message })
        const { proxyUrl, tlsPort, authority } = opened
        log.info({ account: row.sid }, 'a program was given the gateway and the auth token')
        return {
          proxy_url: proxyUrl,
          tls_port: tlsPort,
          authority,
          account_sid: row.sid,
          auth_token: vault.open(row.auth_token),
        }
      },
    )
  }
}

/** Nobody else can reach a port on loopback. */
function isOnThisMachine({ raw: { socket } }: FastifyRequest): boolean {
  const { remoteAddress = '', localAddress } = socket
  return /^(?:::ffff:)?127\.|^::1$/.test(remoteAddress) || remoteAddress === localAddress
}
