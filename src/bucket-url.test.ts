import { writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { folder } from '../test/support/process.ts'
import { readConfig } from './config.ts'

describe('the setting of a bucket', () => {
  test.each([
    ['s3://bucket', { bucket: 'bucket', prefix: '', region: 'us-east-1', endpoint: null, pathStyle: false }],
    ['s3://bucket/a/b/?region=eu-central-1', { prefix: 'a/b/', region: 'eu-central-1' }],
    ['s3://b-1/?endpoint=http://minio:9000', { endpoint: 'http://minio:9000', pathStyle: true }],
    ['s3://b-1?endpoint=https%3A%2F%2Fr2.example%2Fs3&style=host', { endpoint: 'https://r2.example/s3', pathStyle: false }],
  ])('%s', (text, parsed) => {
    expect(readConfig({ PARLEY_MEDIA_STORE: text }).mediaStore).toMatchObject(parsed)
  })

  test.each([
    ['https://bucket', 'must be s3://'],
    ['s3:bucket', 'name of a bucket'],
    ['s3://', 'name of a bucket'],
    ['s3://key:secret@bucket', 'credentials'],
    ['s3://bucket:9000', 'must be s3://'],
    ['s3://bucket/a b', 'prefix'],
    ['s3://bucket/a//b', 'prefix'],
    ['s3://bucket#x', 'must be s3://'],
    ['s3://bucket?acl=public', 'parameter'],
    ['s3://bucket?region=a&region=b', 'parameter'],
    ['s3://bucket?region=a%20b', 'region'],
    ['s3://bucket?style=dns', 'style'],
    ['s3://bucket?endpoint=minio:9000', 'endpoint'],
    ['s3://bucket?endpoint=http://secret@minio', 'endpoint'],
  ])('%s is refused', (text, words) => {
    const read = () => readConfig({ PARLEY_MEDIA_STORE: text })
    expect(read).toThrow(`PARLEY_MEDIA_STORE`)
    expect(read).toThrow(words)
    expect(read).not.toThrow('secret')
  })

  test('may have its credentials in files', async () => {
    using place = folder()
    await writeFile(place.file('secret'), 'abc\n')
    expect(readConfig({ PARLEY_MEDIA_SECRET_ACCESS_KEY_FILE: place.file('secret') }).mediaSecretAccessKey).toBe('abc')
  })
})
