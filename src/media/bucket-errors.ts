import { S3ServiceException } from '@aws-sdk/client-s3'
import { codeOf } from '../errors.ts'
import { MediaStoreError } from './contents.ts'

/** What somebody has to mend, by the name of the store's error. */
const remedies: Readonly<Record<string, string>> = {
  NoSuchBucket: 'there is no such bucket: make it, or correct PARLEY_MEDIA_STORE',
  AccessDenied: 'the store denies access: check the rights of the access key',
  Forbidden: 'the store denies access: check the rights of the access key',
  AllAccessDisabled: 'the store denies access: check the rights of the access key',
  InvalidAccessKeyId: 'the store does not know the access key: check PARLEY_MEDIA_ACCESS_KEY_ID',
  SignatureDoesNotMatch: 'the secret is not that of the access key: check PARLEY_MEDIA_SECRET_ACCESS_KEY',
  ExpiredToken: 'the credentials have expired',
  InvalidToken: 'the credentials are not valid',
  CredentialsProviderError: 'there are no credentials: set PARLEY_MEDIA_ACCESS_KEY_ID and PARLEY_MEDIA_SECRET_ACCESS_KEY',
  RequestTimeTooSkewed: 'the clock of this machine is wrong',
  PermanentRedirect: 'the bucket is in another region: correct region in PARLEY_MEDIA_STORE',
  AuthorizationHeaderMalformed: 'the bucket is in another region: correct region in PARLEY_MEDIA_STORE',
  InvalidBucketName: 'the name of the bucket is not valid: correct PARLEY_MEDIA_STORE',
  EntityTooLarge: 'the file is larger than the store takes: lower PARLEY_MEDIA_MAX_BYTES',
}

/** Whether an error of the SDK has one of these names. */
export function isNamed(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof Error && names.includes(error.name)
}

/** Whether the store has said that there is no such object. */
export function isMissing(error: unknown): boolean {
  return isNamed(error, 'NoSuchKey', 'NotFound')
}

/** Refusals of what has changed or was cut short on its way. */
const passing = ['BadDigest', 'IncompleteBody', 'InvalidDigest', 'RequestTimeout', 'SlowDown', 'XAmzContentSHA256Mismatch']

/** Statuses of what may be taken later. */
const passingStatuses = [408, 409, 425, 429]

/** Whether trying again is of no use. */
export function isLasting(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (remedies[error.name] !== undefined) return true
  const status = statusOf(error)
  return status >= 300 && status < 500 && !passingStatuses.includes(status) && !passing.includes(error.name)
}

function statusOf(error: unknown): number {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? 0) : 0
}

/** Returns an error of the SDK in words, without what the store says in its own: that may quote keys. */
export function explained(error: unknown, operation: string, label: string): MediaStoreError {
  const name = error instanceof Error ? error.name : 'Error'
  const lasting = isLasting(error)
  const reason =
    codeOf(error) ?? (name === 'Error' && error instanceof Error ? error.message : `${name} ${statusOf(error) || ''}`.trim())
  const refused = remedies[name] ?? `the store refuses that (${reason}): check PARLEY_MEDIA_STORE and the access key`
  const sentence = lasting ? refused : `the store does not work now (${reason})`
  return new MediaStoreError(`${label} (${operation}): ${sentence}`, { lasting })
}
