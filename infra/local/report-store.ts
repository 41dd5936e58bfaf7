import { CreateBucketCommand, GetObjectCommand, NoSuchKey, S3Client } from '@aws-sdk/client-s3';
import { buildApp } from 'fauxqs';
import { isLoopback } from './aws/loopback.ts';
import type { LocalAws } from './aws/start.ts';

const BUCKET = 'unified-kits-reports';

/** S3 on 127.0.0.1, in memory, with the one bucket for reports. */
export interface ReportStore {
  readonly endpoint: string;
  readonly bucket: string;
  /** The object's text; undefined when there is none. */
  read(key: string): Promise<string | undefined>;
  /** Closes the server; reports are gone. Again is harmless. */
  stop(): Promise<void>;
}

/** Starts the report bucket beside a local AWS. */
export const startReportStore = async ({
  region,
  credentials,
}: Pick<LocalAws, 'region' | 'credentials'>): Promise<ReportStore> => {
  // As the queues are: `startFauxqs` would listen on every interface.
  const app = buildApp({ logger: false, defaultRegion: region });
  app.addHook('onRequest', async (request, reply) => {
    if (isLoopback(request.headers.host)) return;
    await reply.code(403).send({ message: 'This server answers on 127.0.0.1 and localhost only.' });
  });
  const endpoint = await app.listen({ port: 0, host: '127.0.0.1' });
  const s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  let stopping: Promise<void> | undefined;
  return {
    endpoint,
    bucket: BUCKET,
    async read(key) {
      try {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
        return await Body?.transformToString();
      } catch (error) {
        if (error instanceof NoSuchKey) return undefined;
        throw error;
      }
    },
    stop() {
      stopping ??= (async () => {
        s3.destroy();
        await app.close();
      })();
      return stopping;
    },
  };
};
