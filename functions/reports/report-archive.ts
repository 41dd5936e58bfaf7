import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { UnifiedKitsError } from '@unified-kits/domain';
import { awsClientOptions } from '../runtime/aws-client.ts';
import type { Environment } from '../runtime/environment.ts';

/** The bucket did not take a report; the message names AWS's reason. */
export class ReportNotKept extends UnifiedKitsError {
  constructor(message: string, options?: ErrorOptions) {
    super('ReportNotKept', message, options);
  }
}

/** Where a run's report is, in its bucket: written again it takes the place of the one before. */
export const reportKey = (runId: string): string => `reports/${runId}.html`;

const clients = new Map<string, S3Client>();

const clientOf = (environment: Environment): S3Client => {
  const { s3Endpoint } = environment.aws;
  const key = JSON.stringify(environment.aws);
  const client =
    clients.get(key) ??
    new S3Client({
      ...awsClientOptions(environment),
      ...(s3Endpoint === undefined
        ? {}
        : // A local endpoint has no host for each bucket.
          { endpoint: s3Endpoint, forcePathStyle: true }),
    });
  clients.set(key, client);
  return client;
};

/**
 * Puts a page where auditors find it.
 *
 * @throws {ReportNotKept} saying why, and what to look at.
 */
export const keepReport = async (
  environment: Environment,
  bucket: string,
  key: string,
  page: string,
): Promise<void> => {
  try {
    await clientOf(environment).send(
      new PutObjectCommand({
        Bucket: bucket,
        Key: key,
        Body: page,
        ContentType: 'text/html; charset=utf-8',
      }),
    );
  } catch (error) {
    throw new ReportNotKept(
      `${bucket}/${key} was not written (${error instanceof Error ? error.name : String(error)}): look at the function's permissions, its way to S3 and REPORT_BUCKET; then call "reports" with "write" again`,
      { cause: error },
    );
  }
};
