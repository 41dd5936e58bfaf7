import { MIMEType } from 'node:util';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { keepExact } from './exact-numbers.ts';
import { faultsOfJson, nestsDeeperThan } from './json-text.ts';
import { Problem } from './problem.ts';

/** Of an API Gateway event, whose header names are in lower case. */
type RequestBody = Pick<APIGatewayProxyEventV2, 'headers' | 'body' | 'isBase64Encoded'>;

export interface BodyLimits {
  /** Bytes of the decoded body; 64 KiB by default. */
  readonly maxBytes?: number;
  /** Objects and arrays inside one another; 16 by default. */
  readonly maxDepth?: number;
}

const isJson = (contentType: string): boolean => {
  try {
    const { type, subtype, params } = new MIMEType(contentType);
    const charset = params.get('charset') ?? 'utf-8';
    return (
      type === 'application' &&
      (subtype === 'json' || subtype.endsWith('+json')) &&
      charset.toLowerCase() === 'utf-8'
    );
  } catch {
    return false;
  }
};

const refuseOtherMedia = (headers: RequestBody['headers']): void => {
  if (!isJson(headers['content-type'] ?? ''))
    throw new Problem('unsupported-media-type', {
      detail: 'send JSON in UTF-8 with "content-type: application/json"',
    });
  const coding = headers['content-encoding'] ?? 'identity';
  if (coding.toLowerCase() !== 'identity')
    throw new Problem('unsupported-media-type', {
      detail: 'send the body without a content-encoding',
      headers: { 'accept-encoding': 'identity' },
    });
};

const notUtf8 = () => new Problem('malformed-json', { detail: 'the body is not valid UTF-8' });

const textOf = ({ body = '', isBase64Encoded }: RequestBody, maxBytes: number): string => {
  if (Buffer.byteLength(body, isBase64Encoded ? 'base64' : 'utf8') > maxBytes)
    throw new Problem('payload-too-large', { detail: `a body has at most ${maxBytes} bytes` });
  if (!isBase64Encoded) {
    if (!body.isWellFormed()) throw notUtf8();
    return body;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      Buffer.from(body, 'base64'),
    );
  } catch {
    throw notUtf8();
  }
};

const parse = (text: string): unknown => {
  if (text.trim() === '') throw new Problem('malformed-json', { detail: 'the body is empty' });
  try {
    return JSON.parse(text, keepExact);
  } catch {
    // The parser's message quotes the body.
    throw new Problem('malformed-json');
  }
};

/**
 * The JSON body of a request. Numbers that a double cannot hold come as raw JSON, which `JSON.stringify`
 * writes as they were; no name is given twice, and every string is one that Postgres can store.
 *
 * @throws {Problem} `unsupported-media-type`, `payload-too-large`, `malformed-json` for what is no JSON, and
 * `invalid-body`, with pointers, for JSON that no body may be.
 */
export const parseBody = (
  request: RequestBody,
  { maxBytes = 65_536, maxDepth = 16 }: BodyLimits = {},
): unknown => {
  refuseOtherMedia(request.headers);
  const text = textOf(request, maxBytes);
  if (nestsDeeperThan(maxDepth, text))
    throw new Problem('invalid-body', {
      detail: `objects and arrays may stand at most ${maxDepth} deep inside one another`,
    });
  const value = parse(text);
  const errors = faultsOfJson(text);
  if (errors.length > 0) throw new Problem('invalid-body', { errors });
  return value;
};
