import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { APIGatewayProxyResultV2 } from 'aws-lambda';
import fc from 'fast-check';
import {
  type CryptoKey,
  createRemoteJWKSet,
  generateKeyPair,
  type JWK,
  type JWTPayload,
  jwtVerify,
  SignJWT,
  UnsecuredJWT,
} from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, type GatewayOptions, startGateway } from '../../infra/local/http/gateway.ts';
import type { RequestEvent } from '../../infra/local/http/request-event.ts';
import { openSigningKey, type SigningKey } from '../../infra/local/http/signing-key.ts';

let folder: string;
let keyFile: string;
let key: SigningKey;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'unified-kits-http-'));
  keyFile = join(folder, 'dev-issuer.json');
  key = await openSigningKey(keyFile);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const closing: Array<() => Promise<void> | void> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A gateway whose function keeps the events it gets, and answers as told. */
async function gateway(
  answer: (event: RequestEvent) => unknown = () => ({ statusCode: 200 }),
  options: Partial<GatewayOptions> = {},
): Promise<Gateway & { events: RequestEvent[]; errors: unknown[]; bearer: string }> {
  const events: RequestEvent[] = [];
  const errors: unknown[] = [];
  const started = await startGateway({
    issuerKeyFile: keyFile,
    onError: (error) => errors.push(error),
    handler: async (event) => {
      events.push(event);
      return (await answer(event)) as APIGatewayProxyResultV2;
    },
    ...options,
  });
  closing.push(() => started.stop({ graceMs: 0 }));
  return { ...started, events, errors, bearer: `Bearer ${await started.token({ userId: 'u-1' })}` };
}

type RawRequest = {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: Uint8Array | string;
  readonly agent?: Agent;
};

/** A request as it is written here: unlike fetch, nothing in it is tidied up. */
async function send(
  url: string,
  { method = 'GET', path = '/kits', headers = [], body, agent }: RawRequest,
) {
  const { hostname, port, host } = new URL(url);
  const named = headers.some(([name]) => name.toLowerCase() === 'host');
  const sent = httpRequest({
    hostname,
    port,
    method,
    path,
    headers: [...(named ? [] : [['host', host] as const]), ...headers].flat(),
    ...(agent ? { agent } : {}),
  });
  sent.end(body);
  const [response] = await once(sent, 'response');
  const received = await buffer(response);
  return { status: response.statusCode, headers: response.headers, text: received.toString() };
}

const only = <T>(found: readonly T[]): T => {
  expect(found).toHaveLength(1);
  const [first] = found;
  if (first === undefined) throw new Error('nothing was found');
  return first;
};

const bodyOf = ({ body = '', isBase64Encoded }: RequestEvent) =>
  Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8');

describe('the event', () => {
  it('is that of payload format 2.0', async () => {
    const { url, events, token, issuer } = await gateway();
    const jwt = await token({
      userId: 'u-1',
      practitionerId: 'p-1',
      scope: 'kits:read kits:write',
    });
    const response = await send(url, {
      method: 'POST',
      path: '/practitioners/p-1/kits?status=new&status=sent&q=a%20b+c',
      headers: [
        ['Authorization', `Bearer ${jwt}`],
        ['Content-Type', 'application/json; charset=utf-8'],
        ['User-Agent', 'golden/1.0'],
        ['X-Several', 'one'],
        ['x-several', 'two'],
        ['Cookie', 'a=1; b=2,3'],
        ['Cookie', 'c=4'],
        ['X-Forwarded-For', '203.0.113.7'],
        ['X-Forwarded-Proto', 'https'],
        ['Connection', 'keep-alive'],
        ['Transfer-Encoding', 'chunked'],
      ],
      body: '{"name":"ü"}',
    });
    const { port } = new URL(url);
    const event = only(events);
    expect(event).toEqual({
      version: '2.0',
      routeKey: 'ANY /{proxy+}',
      rawPath: '/practitioners/p-1/kits',
      rawQueryString: 'status=new&status=sent&q=a%20b+c',
      cookies: ['a=1', 'b=2,3', 'c=4'],
      headers: {
        authorization: `Bearer ${jwt}`,
        'content-length': '13',
        'content-type': 'application/json; charset=utf-8',
        host: `127.0.0.1:${port}`,
        'user-agent': 'golden/1.0',
        'x-amzn-trace-id': expect.stringMatching(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$/),
        'x-forwarded-for': '203.0.113.7, 127.0.0.1',
        'x-forwarded-port': port,
        'x-forwarded-proto': 'http',
        'x-several': 'one,two',
      },
      queryStringParameters: { status: 'new,sent', q: 'a b c' },
      pathParameters: { proxy: 'practitioners/p-1/kits' },
      requestContext: {
        accountId: '000000000000',
        apiId: 'local',
        authorizer: {
          jwt: {
            claims: {
              iss: issuer,
              aud: 'unified-kits',
              sub: 'u-1',
              practitioner_id: 'p-1',
              scope: 'kits:read kits:write',
              iat: expect.stringMatching(/^\d{10}$/),
              nbf: expect.stringMatching(/^\d{10}$/),
              exp: expect.stringMatching(/^\d{10}$/),
              jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
            },
            scopes: null,
          },
        },
        domainName: '127.0.0.1',
        domainPrefix: '127',
        http: {
          method: 'POST',
          path: '/practitioners/p-1/kits',
          protocol: 'HTTP/1.1',
          sourceIp: '127.0.0.1',
          userAgent: 'golden/1.0',
        },
        requestId: response.headers['apigw-requestid'],
        routeKey: 'ANY /{proxy+}',
        stage: '$default',
        time: expect.stringMatching(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/),
        timeEpoch: expect.any(Number),
      },
      body: '{"name":"ü"}',
      isBase64Encoded: false,
    });
    const { time, timeEpoch, requestId } = event.requestContext;
    expect(requestId).toMatch(/^[\w+/]{15}=$/);
    expect(Date.parse(time.replaceAll('/', ' ').replace(':', ' '))).toBe(
      Math.floor(timeEpoch / 1000) * 1000,
    );
  });

  it('leaves out what a request does not have', async () => {
    const { url, events, bearer } = await gateway();
    await send(url, { headers: [['authorization', bearer]] });
    const event = only(events);
    expect(Object.keys(event).sort()).toEqual([
      'headers',
      'isBase64Encoded',
      'pathParameters',
      'rawPath',
      'rawQueryString',
      'requestContext',
      'routeKey',
      'version',
    ]);
    expect(event.headers['content-length']).toBe('0');
  });

  it('carries any header as it was sent', async () => {
    const { url, events, bearer } = await gateway();
    const name = fc.stringMatching(/^x-own-[a-zA-Z0-9_~!#$-]{1,20}$/);
    const value = fc.stringMatching(/^[!-~]([ -~]{0,40}[!-~])?$/);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, value), { maxLength: 8 }), async (given) => {
        events.length = 0;
        await send(url, { headers: [['authorization', bearer], ...given] });
        const { headers } = only(events);
        for (const [named] of given) {
          const lower = named.toLowerCase();
          const values = given.filter(([other]) => other.toLowerCase() === lower);
          expect(headers[lower]).toBe(values.map(([, one]) => one).join(','));
        }
      }),
      { numRuns: 50 },
    );
  });

  it('carries any query, raw and decoded', async () => {
    const { url, events, bearer } = await gateway();
    const word = fc.string({ unit: 'grapheme', maxLength: 12 });
    const key = fc.oneof(word, fc.constantFrom('a', '__proto__', 'constructor'));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(key, word), { minLength: 1 }), async (pairs) => {
        events.length = 0;
        const query = new URLSearchParams(pairs).toString();
        await send(url, { path: `/kits?${query}`, headers: [['authorization', bearer]] });
        const event = only(events);
        expect(event.rawQueryString).toBe(query);
        const expected = new Map<string, string[]>();
        for (const [name, value] of pairs) {
          expected.set(name, [...(expected.get(name) ?? []), value]);
        }
        expect(Object.entries(event.queryStringParameters ?? {}).sort()).toEqual(
          [...expected].map(([name, values]) => [name, values.join(',')]).sort(),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('carries any path, decoded', async () => {
    const { url, events, bearer } = await gateway();
    const segment = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((s) => !s.includes('?'));
    await fc.assert(
      fc.asyncProperty(fc.array(segment, { minLength: 1, maxLength: 4 }), async (segments) => {
        events.length = 0;
        const path = `/kits/${segments.map(encodeURIComponent).join('/')}`;
        await send(url, { path, headers: [['authorization', bearer]] });
        const event = only(events);
        const decoded = `kits/${segments.join('/')}`;
        expect(event.rawPath).toBe(`/${decoded}`);
        expect(event.requestContext.http.path).toBe(`/${decoded}`);
        expect(event.pathParameters).toEqual({ proxy: decoded });
      }),
      { numRuns: 50 },
    );
  });

  it('loses what follows an encoded question mark in the path, as on AWS', async () => {
    const { url, events, bearer } = await gateway();
    await send(url, { path: '/kits/a%3Fb/c?d=e', headers: [['authorization', bearer]] });
    expect(only(events)).toMatchObject({ rawPath: '/kits/a', rawQueryString: 'd=e' });
  });

  it('carries any body whole, whatever its type says', async () => {
    const { url, events, bearer } = await gateway();
    const type = fc.constantFrom('application/json', 'text/csv', 'image/png', undefined);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), type, async (bytes, contentType) => {
        events.length = 0;
        await send(url, {
          method: 'POST',
          headers: [
            ['authorization', bearer],
            ...(contentType ? [['content-type', contentType] as const] : []),
            ['content-length', String(bytes.length)],
          ],
          body: bytes,
        });
        expect(bodyOf(only(events)).equals(bytes)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ['application/json', false],
    ['Application/JSON;charset=UTF-8', false],
    ['application/xml', false],
    ['application/javascript', false],
    ['text/plain', false],
    ['text/csv; header=present', false],
    ['application/merge-patch+json', true],
    ['application/x-www-form-urlencoded', true],
    ['application/jsonp', true],
    ['application/octet-stream', true],
    [undefined, true],
  ])('gives a body of type %s as base64: %s', async (type, isBase64Encoded) => {
    const { url, events, bearer } = await gateway();
    await send(url, {
      method: 'PUT',
      headers: [
        ['authorization', bearer],
        ...(type ? [['content-type', type] as const] : []),
        ['content-length', '2'],
      ],
      body: '{}',
    });
    expect(only(events)).toMatchObject({
      isBase64Encoded,
      body: isBase64Encoded ? 'e30=' : '{}',
    });
  });
});

describe('the routes', () => {
  it('need no token for GET /openapi.json, and give its function no authorizer', async () => {
    const { url, events } = await gateway();
    expect((await fetch(`${url}/openapi.json`)).status).toBe(200);
    const { routeKey, requestContext, pathParameters } = only(events);
    expect(routeKey).toBe('GET /openapi.json');
    expect(requestContext).not.toHaveProperty('authorizer');
    expect(pathParameters).toBeUndefined();
  });

  it.each(['HEAD', 'POST', 'OPTIONS'])(
    'need one for %s of the same path, which another route serves',
    async (method) => {
      const { url, events, bearer } = await gateway();
      const request = { method, path: '/openapi.json' };
      expect((await send(url, request)).status).toBe(401);
      const allowed = await send(url, { ...request, headers: [['authorization', bearer]] });
      expect(allowed.status).toBe(200);
      expect(only(events).routeKey).toBe('ANY /{proxy+}');
    },
  );

  it.each([
    ['GET', '/'],
    ['GET', '/?a=b'],
    ['TRACE', '/kits'],
    ['PROPFIND', '/kits'],
  ])('do not serve %s %s', async (method, path) => {
    const { url, events, bearer } = await gateway();
    const response = await send(url, { method, path, headers: [['authorization', bearer]] });
    expect(response).toMatchObject({ status: 404, text: '{"message":"Not Found"}' });
    expect(events).toEqual([]);
  });

  it.each(['/kits/%zz', '/kits/%ff', '*', 'http://127.0.0.1/kits'])(
    'refuse the target %s',
    async (path) => {
      const { url, events, bearer } = await gateway();
      const response = await send(url, { path, headers: [['authorization', bearer]] });
      expect(response).toMatchObject({ status: 400, text: '{"message":"Bad Request"}' });
      expect(events).toEqual([]);
    },
  );
});

describe('the authorizer', () => {
  const now = () => Math.floor(Date.now() / 1000);
  const claims = (issuer: string): JWTPayload => ({
    iss: issuer,
    aud: 'unified-kits',
    sub: 'u-1',
    iat: now(),
    exp: now() + 60,
  });
  const ours = () => ({ alg: 'RS256', kid: key.publicJwk.kid });
  const signed = (
    payload: JWTPayload,
    header: { alg: string; kid?: string } = ours(),
    by: JWK | CryptoKey | Uint8Array = key.privateJwk,
  ) => new SignJWT(payload).setProtectedHeader(header).sign(by);
  const without = (name: string, payload: JWTPayload): JWTPayload =>
    Object.fromEntries(Object.entries(payload).filter(([claim]) => claim !== name));
  const publicKeyText = () =>
    createPublicKey({ key: { ...key.publicJwk }, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    });

  it.each([
    ['behind Bearer', 'Bearer '],
    ['behind bearer in small letters', 'bearer  '],
    ['on its own', ''],
  ])('takes a token %s', async (_, prefix) => {
    const { url, issuer, events } = await gateway();
    const authorization = `${prefix}${await signed(claims(issuer))}`;
    expect((await fetch(`${url}/kits`, { headers: { authorization } })).status).toBe(200);
    expect(events).toHaveLength(1);
  });

  it('passes every claim on as text', async () => {
    const { url, issuer, events } = await gateway();
    const token = await signed({
      ...claims(issuer),
      aud: ['other', 'unified-kits'],
      groups: ['a', 'b'],
      none: [],
      nested: { of: [1] },
      amount: 1.5,
      admin: true,
      nothing: null,
    });
    await fetch(`${url}/kits`, { headers: { authorization: token } });
    expect(only(events).requestContext).toMatchObject({ authorizer: { jwt: { scopes: null } } });
    const { authorizer } = only(events).requestContext as {
      authorizer?: { jwt: { claims: unknown } };
    };
    expect(authorizer?.jwt.claims).toEqual({
      iss: issuer,
      aud: '[other unified-kits]',
      sub: 'u-1',
      iat: expect.stringMatching(/^\d{10}$/),
      exp: expect.stringMatching(/^\d{10}$/),
      groups: '[a b]',
      none: '[]',
      nested: '{"of":[1]}',
      amount: '1.5',
      admin: 'true',
    });
  });

  it('takes client_id for the audience only where there is no aud', async () => {
    const { url, issuer } = await gateway();
    const aud = 'unified-kits';
    const unaimed = without('aud', claims(issuer));
    const status = async (payload: JWTPayload) =>
      (await fetch(`${url}/kits`, { headers: { authorization: await signed(payload) } })).status;
    expect(await status({ ...unaimed, client_id: aud })).toBe(200);
    expect(await status({ ...unaimed, client_id: 'other' })).toBe(401);
    expect(await status({ ...unaimed, client_id: aud, aud: 'other' })).toBe(401);
  });

  const invalid = (description: string) =>
    `Bearer scope="" error="invalid_token" error_description="${description}"`;
  const segments = invalid('token contains an invalid number of segments');
  const unverified = invalid('the token cannot be verified');
  const refused: Record<string, [(issuer: string) => Promise<string> | string, string]> = {
    'no token': [() => '', 'Bearer'],
    'only spaces behind Bearer': [() => 'Bearer   ', segments],
    'another scheme': [() => 'Basic dTpw', segments],
    'a word': [() => 'Bearer not-a-token', segments],
    'three words': [() => 'Bearer a.b.c', unverified],
    'two tokens': [
      async (iss) => `${await signed(claims(iss))},${await signed(claims(iss))}`,
      segments,
    ],
    'an expired token': [
      (iss) => signed({ ...claims(iss), exp: now() }),
      invalid('the token has expired'),
    ],
    'a token without an end': [(iss) => signed(without('exp', claims(iss))), unverified],
    'a token whose end is text': [
      (iss) => signed({ ...claims(iss), ...JSON.parse('{"exp":"9999999999"}') }),
      unverified,
    ],
    'a token that is not valid yet': [
      (iss) => signed({ ...claims(iss), nbf: now() + 30 }),
      invalid('the token is not valid yet'),
    ],
    'a token from the future': [
      (iss) => signed({ ...claims(iss), iat: now() + 30 }),
      invalid('the token is not issued yet'),
    ],
    'another issuer': [
      (iss) => signed({ ...claims(iss), iss: `${iss}/` }),
      invalid('issuer does not match'),
    ],
    'another audience': [
      (iss) => signed({ ...claims(iss), aud: 'unified-kits-2' }),
      invalid('the token does not have a valid audience'),
    ],
    'a token without an audience': [
      (iss) => signed(without('aud', claims(iss))),
      invalid('the token does not have a valid audience'),
    ],
    "another issuer's key": [
      async (iss) => signed(claims(iss), ours(), (await generateKeyPair('RS256')).privateKey),
      unverified,
    ],
    'a key of another name': [
      (iss) => signed(claims(iss), { ...ours(), kid: 'other' }),
      unverified,
    ],
    'a key without a name': [
      (iss) => signed(claims(iss), { alg: 'RS256' }),
      invalid('the token names no key'),
    ],
    'the algorithm none': [(iss) => new UnsecuredJWT(claims(iss)).encode(), unverified],
    'an elliptic curve': [
      async (iss) =>
        signed(
          claims(iss),
          { ...ours(), alg: 'ES256' },
          (await generateKeyPair('ES256')).privateKey,
        ),
      unverified,
    ],
    'HS256 with the public key for a secret': [
      (iss) => signed(claims(iss), { ...ours(), alg: 'HS256' }, Buffer.from(publicKeyText())),
      unverified,
    ],
    'a token with other claims than were signed': [
      async (iss) => {
        const [header, , signature] = (await signed(claims(iss))).split('.');
        const forged = Buffer.from(JSON.stringify({ ...claims(iss), sub: 'u-2' }));
        return [header, forged.toString('base64url'), signature].join('.');
      },
      unverified,
    ],
  };

  it.each(Object.entries(refused))('refuses %s', async (_, [authorization, challenge]) => {
    const { url, issuer, events } = await gateway();
    const given = await authorization(issuer);
    const response = await send(url, { headers: given ? [['authorization', given]] : [] });
    expect(response).toMatchObject({
      status: 401,
      text: '{"message":"Unauthorized"}',
      headers: { 'content-type': 'application/json', 'www-authenticate': challenge },
    });
    expect(events).toEqual([]);
  });

  it('refuses whatever is not a token', async () => {
    const { url, issuer, events } = await gateway();
    const [header = '', payload = '', signature = ''] = (await signed(claims(issuer))).split('.');
    const part = fc.oneof(
      fc.constantFrom(header, payload, signature, ''),
      fc.stringMatching(/^[\w-]{0,30}$/),
      fc.json().map((json) => Buffer.from(json).toString('base64url')),
    );
    const genuine = `${header}.${payload}.${signature}`;
    await fc.assert(
      fc.asyncProperty(fc.tuple(part, part, part), async (parts) => {
        const token = parts.join('.');
        fc.pre(token !== genuine);
        const response = await send(url, { headers: [['authorization', `Bearer ${token}`]] });
        expect(response.status).toBe(401);
      }),
      { numRuns: 100 },
    );
    expect(events).toEqual([]);
  });

  it('refuses before it reads the body', async () => {
    const { url } = await gateway();
    const sent = httpRequest(`${url}/kits`, {
      method: 'POST',
      headers: { 'content-length': '100' },
    });
    sent.on('error', () => undefined);
    sent.write('{');
    const [response] = await once(sent, 'response');
    expect(response.statusCode).toBe(401);
    sent.destroy();
  });
});

describe('the answer', () => {
  it("is the function's, with its cookies", async () => {
    const { url, bearer } = await gateway(() => ({
      statusCode: 201,
      headers: {
        'Content-Type': 'application/json',
        'X-Number': 7,
        'Content-Length': 1,
        Connection: 'close',
      },
      cookies: ['a=1; HttpOnly', 'b=2'],
      body: '{"ü":1}',
    }));
    const response = await fetch(`${url}/kits`, { headers: { authorization: bearer } });
    expect(response.status).toBe(201);
    expect(await response.text()).toBe('{"ü":1}');
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('x-number')).toBe('7');
    expect(response.headers.get('content-length')).toBe('8');
    expect(response.headers.get('connection')).toBe('keep-alive');
    expect(response.headers.getSetCookie()).toEqual(['a=1; HttpOnly', 'b=2']);
    expect(response.headers.get('apigw-requestid')).toMatch(/=$/);
  });

  it('decodes a base64 body', async () => {
    const bytes = Buffer.from([0, 255, 128, 10]);
    const { url, bearer } = await gateway(() => ({
      statusCode: 200,
      headers: { 'content-type': 'image/png' },
      body: bytes.toString('base64'),
      isBase64Encoded: true,
    }));
    const response = await fetch(`${url}/kits`, { headers: { authorization: bearer } });
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
  });

  it.each([
    ['an object without a status', { kits: [] }, '{"kits":[]}'],
    ['a text', 'Hello from Lambda!', 'Hello from Lambda!'],
    ['a list', [1], '[1]'],
    ['nothing', undefined, 'null'],
  ])('is 200 with the whole result when that is %s', async (_, result, body) => {
    const { url, bearer } = await gateway(() => result);
    const response = await send(url, { headers: [['authorization', bearer]] });
    expect(response).toMatchObject({
      status: 200,
      text: body,
      headers: { 'content-type': 'application/json' },
    });
  });

  it('is plain text unless the function says otherwise', async () => {
    const { url, bearer } = await gateway(() => ({ statusCode: 200, body: 'hello' }));
    const response = await send(url, { headers: [['authorization', bearer]] });
    expect(response.headers['content-type']).toBe('text/plain; charset=utf-8');
  });

  it.each([204, 304])('has no body and no length with %i', async (statusCode) => {
    const { url, bearer } = await gateway(() => ({ statusCode, headers: { etag: '"1"' } }));
    const response = await send(url, { headers: [['authorization', bearer]] });
    expect(response).toMatchObject({ status: statusCode, text: '', headers: { etag: '"1"' } });
    expect(response.headers).not.toHaveProperty('content-length');
  });

  it('to HEAD has the headers and no body', async () => {
    const { url, bearer, events } = await gateway(() => ({ statusCode: 200, body: 'hello' }));
    const response = await send(url, { method: 'HEAD', headers: [['authorization', bearer]] });
    expect(response).toMatchObject({ status: 200, text: '', headers: { 'content-length': '5' } });
    expect(only(events).requestContext.http.method).toBe('HEAD');
  });

  const failing: Record<string, () => unknown> = {
    'throws at once': () => {
      throw new RangeError('of Jane Doe');
    },
    rejects: () => Promise.reject(new RangeError('of Jane Doe')),
    'answers with a status that is none': () => ({ statusCode: 99 }),
    'answers with a status in text': () => ({ statusCode: '200' }),
    'answers with a body that is no text': () => ({ statusCode: 200, body: { kits: [] } }),
    'answers with a body that is not base64': () => ({
      statusCode: 200,
      body: 'not base64!',
      isBase64Encoded: true,
    }),
    'answers with a header that is none': () => ({ statusCode: 200, headers: { 'a b': 'c' } }),
    'splits a header': () => ({ statusCode: 200, headers: { a: 'b\r\nset-cookie: c' } }),
    'splits a cookie': () => ({ statusCode: 200, cookies: ['a=b\r\n\r\nc'] }),
    'answers with something that is not JSON': () => ({ statusCode: 200, body: 1n }),
    'answers with more than 6 MiB': () => ({ statusCode: 200, body: 'x'.repeat(6 * 1024 * 1024) }),
  };
  it.each(Object.entries(failing))('is 500 when the function %s', async (_, fail) => {
    const { url, bearer, errors } = await gateway(fail);
    const response = await send(url, { headers: [['authorization', bearer]] });
    expect(response).toMatchObject({
      status: 500,
      text: '{"message":"Internal Server Error"}',
      headers: { 'content-type': 'application/json' },
    });
    expect(errors).toHaveLength(1);
  });

  it('names a failure in a warning, and not what it says', async () => {
    const started = await startGateway({
      issuerKeyFile: keyFile,
      handler: () => Promise.reject(new RangeError('of Jane Doe')),
    });
    closing.push(() => started.stop());
    const warned = once(process, 'warning');
    const authorization = await started.token({ userId: 'u-1' });
    await fetch(`${started.url}/kits`, { headers: { authorization } });
    const [warning] = await warned;
    expect(warning.message).toBe('The function behind the API failed: RangeError.');
  });

  it('is 500 when the function takes too long, which sees its time run out', async () => {
    const left: number[] = [];
    const held = Promise.withResolvers<void>();
    const { url, bearer, errors } = await gateway(undefined, {
      timeoutSeconds: 0.2,
      handler: async (_event, context) => {
        left.push(context.getRemainingTimeInMillis());
        await held.promise;
        left.push(context.getRemainingTimeInMillis());
        return { statusCode: 200 };
      },
    });
    const response = await send(url, { headers: [['authorization', bearer]] });
    expect(response).toMatchObject({ status: 500, text: '{"message":"Internal Server Error"}' });
    expect(errors).toMatchObject([{ name: 'Sandbox.Timedout' }]);
    held.resolve();
    await sleep(0);
    expect(left).toEqual([expect.any(Number), 0]);
    expect(left[0]).toBeGreaterThan(0);
    expect(left[0]).toBeLessThanOrEqual(200);
  });
});

describe('the limits', () => {
  const oneConnection = () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    closing.push(() => agent.destroy());
    return agent;
  };

  it.each([
    ['announced', 11, ['content-length', '11']],
    ['that comes in chunks', 11, ['transfer-encoding', 'chunked']],
    ['that takes a while to arrive', 4_000_000, ['transfer-encoding', 'chunked']],
  ] as const)('refuse a body %s, and keep the connection', async (_, bytes, framing) => {
    const { url, bearer, events } = await gateway(undefined, { maxBodyBytes: 10 });
    const agent = oneConnection();
    const headers = [['authorization', bearer], framing] as const;
    const tooLong = await send(url, { method: 'POST', headers, body: 'x'.repeat(bytes), agent });
    expect(tooLong).toMatchObject({ status: 413, text: '{"message":"Request Too Long"}' });
    expect(events).toEqual([]);
    const next = await send(url, { headers: [['authorization', bearer]], agent });
    expect(next.status).toBe(200);
  });

  it('let a body pass that just fits', async () => {
    const { url, bearer, events } = await gateway(undefined, { maxBodyBytes: 10 });
    const headers = [['authorization', bearer] as const, ['content-length', '10'] as const];
    await send(url, { method: 'POST', headers, body: 'x'.repeat(10) });
    expect(bodyOf(only(events)).toString()).toBe('x'.repeat(10));
  });

  it('are 10 MiB for a body and 6 MiB for the event, by default', async () => {
    const { url, bearer, events } = await gateway();
    const post = async (mebibytes: number) => {
      const response = await fetch(`${url}/kits`, {
        method: 'POST',
        headers: { authorization: bearer, 'content-type': 'text/plain' },
        body: 'x'.repeat(mebibytes * 1024 * 1024),
      });
      return [response.status, await response.text()];
    };
    expect(await post(5)).toEqual([200, '']);
    expect(await post(7)).toEqual([413, '{"message":"Request Too Long"}']);
    expect(await post(11)).toEqual([413, '{"message":"Request Too Long"}']);
    expect(events).toHaveLength(1);
  });

  it('refuse headers of more than 10 KiB', async () => {
    const { url, bearer, events } = await gateway();
    const headers = [['authorization', bearer] as const, ['x-long', 'x'.repeat(10_240)] as const];
    expect((await send(url, { headers })).status).toBe(431);
    expect(events).toEqual([]);
  });

  it.each([0, -1, 31, Number.NaN])('do not allow a timeout of %d s', async (timeoutSeconds) => {
    await expect(gateway(undefined, { timeoutSeconds })).rejects.toThrow(
      `timeoutSeconds is ${timeoutSeconds}: give more than 0 and at most 30.`,
    );
  });
});

describe('the server', () => {
  it('answers under loopback names only', async () => {
    const { url, bearer, events } = await gateway();
    const status = async (host: string) =>
      (
        await send(url, {
          headers: [
            ['Host', host],
            ['authorization', bearer],
          ],
        })
      ).status;
    expect(await status('kits.example.com')).toBe(403);
    expect(await status('127.0.0.1.example.com:80')).toBe(403);
    expect(await status('localhost:1234')).toBe(200);
    expect(events).toHaveLength(1);
  });

  it('listens on 127.0.0.1', async () => {
    const { url } = await gateway();
    expect(new URL(url).hostname).toBe('127.0.0.1');
    const elsewhere = connect({ host: '127.0.0.2', port: Number(new URL(url).port) });
    const [error] = await once(elsewhere, 'error');
    expect(error.code).toBe('ECONNREFUSED');
  });

  it('outlives a client that goes away', async () => {
    const inside = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const { url, bearer, errors } = await gateway(async () => {
      inside.resolve();
      await held.promise;
      return { statusCode: 200, body: 'too late' };
    });
    const leaving = new AbortController();
    const asked = fetch(`${url}/kits`, {
      headers: { authorization: bearer },
      signal: leaving.signal,
    });
    await inside.promise;
    leaving.abort();
    await expect(asked).rejects.toThrow('aborted');
    held.resolve();
    const next = await fetch(`${url}/kits`, { headers: { authorization: bearer } });
    expect(await next.text()).toBe('too late');
    expect(errors).toEqual([]);
  });

  it('does not take a client that goes away within its body for a failure of the function', async () => {
    const { url, events, errors, bearer } = await gateway();
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /kits HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: ${bearer}\r\nContent-Length: 9\r\n\r\n{"a"`,
    );
    await sleep(50);
    socket.destroy();
    await sleep(50);
    expect(await send(url, { headers: [['authorization', bearer]] })).toMatchObject({
      status: 200,
    });
    expect(events).toHaveLength(1);
    expect(errors).toEqual([]);
  });

  it('says which port is taken', async () => {
    const { url } = await gateway();
    const port = Number(new URL(url).port);
    await expect(gateway(undefined, { port })).rejects.toThrow(`in use 127.0.0.1:${port}`);
  });

  it('stops once what is under way is answered, and takes nothing new', async () => {
    const inside = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const { url, bearer, stop, events } = await gateway(async () => {
      inside.resolve();
      await held.promise;
      return { statusCode: 200, body: 'done' };
    });
    const socket: Socket = connect(Number(new URL(url).port), '127.0.0.1');
    const received = text(socket);
    const get = `GET /kits HTTP/1.1\r\nhost: localhost\r\nauthorization: ${bearer}\r\n\r\n`;
    socket.write(get);
    await inside.promise;
    const stopped = stop();
    socket.write(get);
    await expect(fetch(`${url}/kits`)).rejects.toThrow('fetch failed');
    held.resolve();
    await stopped;
    const answers = await received;
    expect(answers).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*done/);
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 503']);
    expect(events).toHaveLength(1);
    await stop();
  });

  it('stops once a function has ended that was too slow to be waited for', async () => {
    const held = Promise.withResolvers<void>();
    let ended = false;
    const { url, bearer, stop } = await gateway(
      async () => {
        await held.promise;
        ended = true;
      },
      { timeoutSeconds: 0.02 },
    );
    expect((await send(url, { headers: [['authorization', bearer]] })).status).toBe(500);
    const stopped = stop();
    setTimeout(held.resolve, 20);
    await stopped;
    expect(ended).toBe(true);
  });

  it('stops without what is under way when the grace is over', async () => {
    const inside = Promise.withResolvers<void>();
    const { url, bearer, stop } = await gateway(() => {
      inside.resolve();
      return new Promise(() => undefined);
    });
    const asked = fetch(`${url}/kits`, { headers: { authorization: bearer } });
    const failed = expect(asked).rejects.toThrow('fetch failed');
    await inside.promise;
    await stop({ graceMs: 20 });
    await failed;
  });
});

describe('the dev issuer', () => {
  it('publishes what verifies its tokens', async () => {
    const { issuer, token } = await gateway();
    const discovered = await fetch(`${issuer}/.well-known/openid-configuration`);
    const { jwks_uri: jwksUri, issuer: named } = (await discovered.json()) as Record<
      string,
      string
    >;
    expect(named).toBe(issuer);
    const jwks = createRemoteJWKSet(new URL(jwksUri ?? ''));
    const { payload } = await jwtVerify(await token({ userId: 'u-9' }), jwks, { issuer });
    expect(payload.sub).toBe('u-9');
    expect(JSON.stringify(await (await fetch(jwksUri ?? '')).json())).not.toMatch(/"(d|p|q)"/);
  });

  it('gives tokens of the length asked for', async () => {
    const { url, token } = await gateway();
    const status = async (expiresInSeconds: number) => {
      const authorization = await token({ userId: 'u-1', expiresInSeconds });
      return (await fetch(`${url}/kits`, { headers: { authorization } })).status;
    };
    expect(await status(30)).toBe(200);
    expect(await status(-1)).toBe(401);
  });

  it('keeps its key in a file of its owner, so that tokens survive a restart', async () => {
    const issuerKeyFile = join(folder, 'kept', 'key.json');
    const first = await gateway(undefined, { issuerKeyFile });
    const port = Number(new URL(first.url).port);
    expect((await stat(issuerKeyFile)).mode & 0o777).toBe(0o600);
    await first.stop();
    const second = await gateway(undefined, { issuerKeyFile, port });
    const headers = { authorization: first.bearer };
    expect((await fetch(`${second.url}/kits`, { headers })).status).toBe(200);
  });

  it('has a key of its own without a file', async () => {
    const one = await startGateway({ handler: async () => ({ statusCode: 200 }) });
    closing.push(() => one.stop());
    const port = Number(new URL(one.url).port);
    const token = await one.token({ userId: 'u-1' });
    await one.stop();
    const other = await startGateway({ port, handler: async () => ({ statusCode: 200 }) });
    closing.push(() => other.stop());
    const response = await fetch(`${other.url}/kits`, { headers: { authorization: token } });
    expect(response.status).toBe(401);
  });

  const halvesOfTwoKeys = async () => {
    const other = await openSigningKey();
    return JSON.stringify({ ...key.privateJwk, n: other.publicJwk.n });
  };

  it.each([
    ['no JSON', '{"kty":'],
    ['no key', '{"parameters":{}}'],
    ['halves of two keys', () => halvesOfTwoKeys()],
  ])('refuses a file with %s by its name', async (_, content) => {
    const issuerKeyFile = join(folder, 'broken.json');
    await writeFile(issuerKeyFile, typeof content === 'string' ? content : await content());
    await expect(gateway(undefined, { issuerKeyFile })).rejects.toMatchObject({
      name: 'LocalStateError',
      message: expect.stringContaining(issuerKeyFile),
    });
  });
});
