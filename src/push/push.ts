import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import { createWebhookClient } from '../delivery/client.ts'
import type { DeliveryHandler } from '../delivery/handler.ts'
import type { Database } from '../storage/database.ts'
import type { Vault } from '../vault.ts'
import { createApnsSender } from './apns.ts'
import { createFcmSender } from './fcm.ts'
import { type PushReport, pushHandler } from './handler.ts'

export interface PushOptions {
  readonly config: Pick<Config, 'fcmUrl' | 'apnsUrl' | 'webhookAllowPrivate'>
  readonly installation: { readonly database: Pick<Database, 'read'>; readonly vault: Vault; readonly clock: Clock }
}

/** What sends pushes. */
export interface Push {
  readonly handler: DeliveryHandler<PushReport>
  /** Closes all connections once nothing is sent any more. */
  close(): Promise<void>
}

/** Connects to nobody before there is a push. */
export function createPush({ config, installation: { database, vault, clock } }: PushOptions): Push {
  // Unlike an endpoint of the operator's, Google always has a good certificate.
  const client = createWebhookClient({ allowPrivate: config.webhookAllowPrivate, verifyTls: true })
  // The services compare with the true time.
  const now = () => clock.now() - clock.offset()
  const fcm = createFcmSender({ client, baseUrl: config.fcmUrl, now })
  const apns = createApnsSender({ baseUrl: config.apnsUrl, now })
  return {
    handler: pushHandler({ committed: database.read, vault, fcm, apns }),
    close() {
      apns.close()
      return client.close()
    },
  }
}
