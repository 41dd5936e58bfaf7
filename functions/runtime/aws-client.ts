import type { Environment } from './environment.ts';

/** What every SDK client of a function is given. */
export interface AwsClientOptions {
  readonly endpoint?: string;
  readonly region?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** The endpoint that an environment names, or else what the SDK finds by itself. */
export const awsClientOptions = ({ aws }: Environment): AwsClientOptions => {
  const { endpoint, region, accessKeyId, secretAccessKey } = aws;
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    // A Lambda's own keys need their session token, which the SDK's chain adds: only a local endpoint's are given here.
    ...(endpoint === undefined || accessKeyId === undefined || secretAccessKey === undefined
      ? {}
      : { credentials: { accessKeyId, secretAccessKey } }),
  };
};
