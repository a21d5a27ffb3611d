import { rowsBy } from './rows.ts'
import type { ExternalIdRow } from './schema.ts'

/*
 * Rows by their keys, as several rooms read them. `…BySid` takes the sid and whatever the row belongs to: a row of another account,
 * service or conversation is not found.
 */

export const accountBySid = rowsBy('accounts', ['sid'])
export const apiKeyOfAccount = rowsBy('api_keys', ['account_sid', 'sid'])
export const apiKeysOfAccount = rowsBy('api_keys', ['account_sid'])
export const contentOfAccount = rowsBy('contents', ['account_sid', 'sid'])
export const credentialOfAccount = rowsBy('credentials', ['account_sid', 'sid'])
export const channelByAddress = rowsBy('channels', ['account_sid', 'proxy_address'])
/** Providers know no account. */
export const channelBySid = rowsBy('channels', ['sid'])
/** For sids that are known to be of the account. */
export const serviceBySid = rowsBy('services', ['sid'])
export const serviceOfAccount = rowsBy('services', ['sid', 'account_sid'])
export const conversationBySid = rowsBy('conversations', ['service_sid', 'sid'])
export const conversationByName = rowsBy('conversations', ['service_sid', 'unique_name'])
export const messageBySid = rowsBy('messages', ['service_sid', 'conversation_sid', 'sid'])
export const participantBySid = rowsBy('participants', ['service_sid', 'conversation_sid', 'sid'])
export const participantByIdentity = rowsBy('participants', ['service_sid', 'conversation_sid', 'identity'])
export const participantsOfConversation = rowsBy('participants', ['service_sid', 'conversation_sid'])
export const participantByAddress = rowsBy('participants', ['service_sid', 'conversation_sid', 'address'])
export const userBySid = rowsBy('users', ['service_sid', 'sid'])
export const userByIdentity = rowsBy('users', ['service_sid', 'identity'])
export const roleBySid = rowsBy('roles', ['service_sid', 'sid'])
export const operatorBySid = rowsBy('operators', ['sid'])
export const operatorTokenById = rowsBy('operator_tokens', ['id'])
export const operatorTokensOf = rowsBy('operator_tokens', ['operator_sid'])
export const mediaByHash = rowsBy('media', ['sha256'])

/** Returns the key of a message as its carrier calls it: in one text, because a row is held by one column. */
export function externalIdKey(
  { account_sid, external_id, channel }: Pick<ExternalIdRow, 'account_sid' | 'external_id' | 'channel'>,
  direction: ExternalIdRow['direction'],
): string {
  return `${account_sid} ${direction} ${channel} ${external_id}`
}
