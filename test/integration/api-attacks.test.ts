import { Buffer } from 'node:buffer';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Caller } from '@unified-kits/domain';
import { generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeCursor } from '../../functions/phase4-api/http/cursor.ts';
import { DEV_AUDIENCE } from '../../infra/local/http/dev-issuer.ts';
import { type ApiClient, type ApiResponse, type ApiRig, apiRigOf } from '../support/api.ts';
import { API_STAGES, bringTo } from '../support/api-stage.ts';
import { clientOf, practitionerOf } from '../support/kits-service.ts';
import { type RawResponse, rawBytes, rawRequest } from '../support/raw-http.ts';

/** A marker in everything that the attacker sends: it must not be found in any log line. */
const MARK = 'zqxj';
const UNKNOWN_UUID = '00000000-0000-4000-8000-00000000dead';

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, unknown>>;
}
const plain = (response: ApiResponse | RawResponse): Answer => ({
  status: response.status,
  text: response.text,
  headers:
    response.headers instanceof Headers ? Object.fromEntries(response.headers) : response.headers,
});

/** A problem without what names this one occurrence. */
const anonymous = ({ status, text, headers }: Answer) => {
  const {
    date: _date,
    'apigw-requestid': _id,
    connection: _c,
    'keep-alive': _k,
    ...same
  } = headers;
  const length = String(text.length);
  return {
    status,
    text: text.replace(/"instance":"urn:request:[^"]+"/, '"instance":"…"'),
    headers: { ...same, 'content-length': same['content-length'] === length ? 'as long' : 'wrong' },
  };
};

const problem = (response: ApiResponse | RawResponse) => {
  const { status, text, headers } = plain(response);
  const body = headers['content-type'] === 'application/problem+json' ? JSON.parse(text) : {};
  return {
    status,
    type: body.type === undefined ? text : String(body.type).replace('/problems/', ''),
    at: [...new Set((body.errors ?? []).map(({ pointer }: { pointer: string }) => pointer))],
  };
};
const refused = (status: number, type: string, ...at: string[]) => ({ status, type, at });

describe.each(API_STAGES)('an attacker in stage %s', (stage) => {
  let rig: ApiRig;
  let keys: string;
  let names: string[];
  /** A client, another one, and practitioners, the first of whom has the client as user. */
  let alice: Caller;
  let bob: Caller;
  let carol: Caller;
  let dora: Caller;
  let asAlice: ApiClient;
  let token: string;
  let own: { id: number; kitsId: string };
  let bobs: { id: number; kitsId: string };
  let carols: { id: string; kitsId: string };
  const answered: Answer[] = [];

  const idsOf = async (caller: Caller, path: string) =>
    ((await rig.as(caller).get(path)).body.kits as { id: never; kitsId: string }[])[0] ?? {
      id: undefined as never,
      kitsId: '',
    };
  const raw = async (
    path: string,
    headers: Record<string, string | string[]> = {},
    method = 'GET',
    body?: string | Buffer,
  ) => {
    const response = await rawRequest(rig.api.url, {
      path,
      method,
      headers: { authorization: `Bearer ${token}`, ...headers },
      ...(body === undefined ? {} : { body }),
    });
    answered.push(plain(response));
    return response;
  };
  const sent = (path: string, body: string | Buffer, headers: Record<string, string> = {}) =>
    raw(path, { 'content-type': 'application/json', ...headers }, 'POST', body);
  const patched = (path: string, body: string, headers: Record<string, string> = {}) =>
    raw(path, { 'content-type': 'application/json', ...headers }, 'PATCH', body);

  beforeAll(async () => {
    keys = await mkdtemp(join(tmpdir(), 'uk-issuer-'));
    rig = await apiRigOf(60, { issuerKeyFile: join(keys, 'key.json') });
    await bringTo(rig, stage);
    carol = await practitionerOf(rig.legacy, 1);
    alice = { userId: carol.userId };
    bob = await clientOf(rig.legacy, 2);
    dora = await practitionerOf(rig.legacy, 4);
    token = await rig.api.token({ userId: alice.userId });
    asAlice = rig.as(alice);
    own = await idsOf(alice, '/kits');
    bobs = await idsOf(bob, '/kits');
    carols = await idsOf(carol, `/practitioners/${carol.practitionerId}/kits`);
    const { rows } = await rig.legacy.pool.query(
      `select distinct name from (
         select relname::text as name from pg_class union select conname from pg_constraint union select attname from pg_attribute
          where attrelid::regclass::text in ('kit', 'practitioner_kits', 'kits', 'users', 'practitioners')) named
        where name ~ '^\\w+_\\w+$' or name in ('pg_catalog', 'information_schema')`,
    );
    // A token's claim is called like the column, and may be named.
    names = rows.map(({ name }) => name).filter((name) => name !== 'practitioner_id');
  });
  afterAll(async () => {
    await rig.close();
    await rm(keys, { recursive: true });
  });

  it("finds others' kits as little as kits that are not there: one answer, whatever the id", async () => {
    const id = String(own.id);
    const ids = [
      ...[String(bobs.id), carols.id, bobs.kitsId, own.kitsId, '999999999'],
      ...['9223372036854775807', '9223372036854775808', '-1', '-9223372036854775809', '-0'],
      ...['9'.repeat(200), '1'.repeat(256), 'x'.repeat(5_000), UNKNOWN_UUID],
      // Other spellings of an id that is there, and the caller's own.
      ...[`0${id}`, `+${id}`, `%2B${id}`, `%20${id}`, `${id}%20`, `${id}%0A`, `${id}.0`, `${id}e0`],
      ...[`0x${own.id.toString(16)}`, `0b${own.id.toString(2)}`, `${id.at(0)}_${id.slice(1)}`],
      ...[`%EF%BC%9${id.at(-1)}`, `${id},${id}`, `{${id}}`],
      ...[
        '%00',
        `${id}%00`,
        `%00${id}`,
        '.',
        '..',
        '%2e%2e',
        '%252e%252e',
        '..%2f..%2fkits',
        '%25zz',
      ],
      ...[
        "1'%20or%20'1'='1",
        '1);drop%20table%20kit;--',
        'null',
        'NaN',
        '__proto__',
        'constructor',
      ],
      ...['%5C', '%2f', '%F0%9F%92%A9', '%E2%80%AE1'],
    ];
    const expected = anonymous(plain(await raw('/kits/999999998')));
    expect(expected).toMatchObject({ status: 404, headers: { 'content-length': 'as long' } });
    expect(JSON.parse(expected.text)).toEqual({
      type: '/problems/not-found',
      title: expect.any(String),
      status: 404,
      instance: '…',
    });
    for (const one of ids) {
      const path = `/kits/${one}`;
      expect([path, anonymous(plain(await raw(path)))]).toEqual([path, expected]);
      expect([path, anonymous(plain(await patched(path, '{"notes":"mine"}')))]).toEqual([
        path,
        expected,
      ]);
    }
    const { kitsId } = own;
    for (const one of [
      ...[bobs.kitsId, bobs.kitsId.toUpperCase(), carols.kitsId, UNKNOWN_UUID, id, String(bobs.id)],
      ...[kitsId.replaceAll('-', ''), `{${kitsId}}`, `%7B${kitsId}%7D`, `urn:uuid:${kitsId}`],
      ...[`${kitsId}%20`, `${kitsId}%00`, `${kitsId}'`, kitsId.slice(1), '%00', '..'],
    ]) {
      const path = `/v2/kits/${one}`;
      expect([path, anonymous(plain(await raw(path)))]).toEqual([path, expected]);
      const change = await patched(path, '{}', { 'if-match': '*' });
      expect([path, anonymous(plain(change))]).toEqual([path, expected]);
    }
  });

  it('takes a UUID in either case, and shows it in its own', async () => {
    const shown = await asAlice.get(`/v2/kits/${own.kitsId}`);
    expect((await asAlice.get(`/v2/kits/${own.kitsId.toUpperCase()}`)).text).toBe(shown.text);
    const path = `/practitioners/${carol.practitionerId}/kits`;
    const theirs = await rig.as(carol).get(`${path}/${carols.id}`);
    expect(theirs.status).toBe(200);
    const loud = `/practitioners/${carol.practitionerId?.toUpperCase()}/kits`;
    expect((await rig.as(carol).get(`${loud}/${carols.id.toUpperCase()}`)).text).toBe(theirs.text);
    const page = await rig.as(carol).get(`${loud}?limit=1`);
    expect(page.headers.get('link')).toContain(`<${path}?limit=1&cursor=`);
    const made = await rig.as(carol).post(loud, { kitNumber: `loud ${stage}` });
    expect(made.headers.get('location')).toBe(`${path}/${made.body.id}`);
  });

  it("leads nobody to a practitioner's kits but the practitioner", async () => {
    const theirs = `/practitioners/${carol.practitionerId}/kits`;
    const expected = anonymous(plain(await raw('/kits/999999998')));
    // Alice is the practitioner's user, but her token does not say that she is a practitioner.
    for (const [who, caller] of [
      ['the user', alice],
      ['a client', bob],
      ['a practitioner', dora],
    ] as const) {
      const client = rig.as(caller);
      const post = client.post(theirs, { kitNumber: `${MARK} theirs` });
      for (const response of await Promise.all([
        client.get(theirs),
        client.get(`${theirs}?limit=1&cursor=x`),
        client.get(`${theirs}/${carols.id}`),
        client.get(`/v2/kits/${carols.kitsId}`),
        client.patch(`${theirs}/${carols.id}`, { status: 'registered' }),
        client.patch(`/v2/kits/${carols.kitsId}`, {}, { 'if-match': '*' }),
        post,
      ]))
        expect([who, anonymous(plain(response))]).toEqual([who, expected]);
      expect(
        (await client.post('/v2/kits', { kitNumber: `${MARK} x`, ownerType: 'practitioner' }))
          .status,
      ).toBe(who === 'a practitioner' ? 201 : 404);
      const { kits } = (await client.get('/v2/kits?limit=100')).body as {
        kits: { kitsId: string }[];
      };
      expect(kits.map(({ kitsId }) => kitsId)).not.toContain(carols.kitsId);
    }
    // A practitioner's own path does not make another's kit their own.
    const other = await idsOf(dora, `/practitioners/${dora.practitionerId}/kits`);
    expect((await rig.as(carol).get(`${theirs}/${other.id}`)).status).toBe(404);
    for (const path of [
      '/practitioners//kits',
      '/practitioners/%00/kits',
      "/practitioners/'/kits",
      `/practitioners/${'x'.repeat(300)}/kits`,
      `/practitioners/{${carol.practitionerId}}/kits`,
      `/practitioners/${carol.practitionerId}%20/kits`,
    ])
      expect([path, problem(await raw(path))]).toEqual([path, refused(404, 'not-found')]);
  });

  it('is nobody without a token of this issuer that is valid now', async () => {
    const jwk = JSON.parse(await readFile(join(keys, 'key.json'), 'utf8')) as JWK;
    const [, payload = '', signature = ''] = token.split('.');
    const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString());
    const { privateKey } = await generateKeyPair('RS256');
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: rig.api.issuer, aud: DEV_AUDIENCE, sub: alice.userId, exp: now + 60 };
    const signed = (own: object, head: object = {}, key: unknown = jwk) =>
      new SignJWT({ ...claims, ...own })
        .setProtectedHeader({ alg: 'RS256', kid: header.kid, ...head })
        .sign(key as JWK);
    const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const bad = [
      '',
      'x',
      'a.b.c',
      `${token}x`,
      token.slice(0, -8),
      `${token.split('.')[0]}.${encoded({ ...claims, sub: bob.userId })}.${signature}`,
      `${encoded({ ...header, alg: 'none' })}.${payload}.`,
      `${encoded({ ...header, alg: 'none' })}.${payload}.${signature}`,
      new UnsecuredJWT(claims).encode(),
      await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', kid: header.kid })
        .sign(Buffer.from(String(jwk.n))),
      await signed({}, {}, privateKey),
      await signed({}, { kid: 'other' }),
      await signed({}, { kid: undefined }),
      await signed({}, { jku: 'http://127.0.0.1:1/keys', kid: 'theirs' }, privateKey),
      await signed({ iss: 'https://elsewhere.example' }),
      await signed({ iss: `${rig.api.issuer}/` }),
      await signed({ aud: 'another-api' }),
      await signed({ aud: undefined }),
      await signed({ exp: now - 1 }),
      await signed({ exp: undefined }),
      await signed({ nbf: now + 60 }),
      await rig.api.token({ userId: alice.userId, expiresInSeconds: -10 }),
    ];
    for (const [index, one] of bad.entries())
      for (const path of ['/kits', `/kits/${own.id}`, '/v2/kits', '/nowhere']) {
        const response = await raw(path, { authorization: `Bearer ${one}` });
        expect([index, path, response.status, response.text]).toEqual([
          index,
          path,
          401,
          '{"message":"Unauthorized"}',
        ]);
        expect(response.headers['www-authenticate']).toMatch(/^Bearer/);
      }
    const response = await raw('/kits', { authorization: `Bearer ${await signed({})}` });
    expect(response.status).toBe(200);

    // The issuer's own token, but it names nobody who could own kits.
    for (const own of [
      { sub: undefined },
      { sub: '' },
      { sub: 'alice' },
      { sub: `${alice.userId}\n` },
      { sub: `{${alice.userId}}` },
      { sub: 7 },
      { sub: [alice.userId] },
      { sub: { $ne: '' } },
      { sub: "' or true --" },
      { practitioner_id: '' },
      { practitioner_id: 7 },
      { practitioner_id: true },
      { practitioner_id: [carol.practitionerId] },
      { practitioner_id: { id: carol.practitionerId } },
      { practitioner_id: `${carol.practitionerId}\0` },
      { practitioner_id: 'x'.repeat(400) },
    ]) {
      const authorization = `Bearer ${await signed(own)}`;
      for (const path of [
        '/kits',
        `/kits/${bobs.id}`,
        '/v2/kits',
        `/practitioners/${carol.practitionerId}/kits`,
      ])
        expect([own, path, problem(await raw(path, { authorization }))]).toEqual([
          own,
          path,
          refused(403, 'forbidden'),
        ]);
      expect(problem(await sent('/kits', `{"kitNumber":"${MARK}"}`, { authorization }))).toEqual(
        refused(403, 'forbidden'),
      );
    }
    // A user whom nobody knows owns nothing, and gets nothing.
    const stranger = { authorization: `Bearer ${await signed({ sub: UNKNOWN_UUID })}` };
    expect(JSON.parse((await raw('/kits', stranger)).text)).toEqual({ kits: [], nextCursor: null });
    expect(problem(await sent('/kits', `{"kitNumber":"${MARK}"}`, stranger))).toEqual(
      refused(403, 'forbidden'),
    );
  });

  it('stores SQL as the text that it is, in every field', async () => {
    const texts = [
      `'; drop table kit; --`,
      `${MARK}' || (select version()) || '`,
      `$1 $$ \${x} %s \\' \\x00 E'\\\\'`,
      `"},"userId":"${bob.userId}"`,
      `{{7*7}} <script> ../../etc/passwd \u2028 ｆｕｌｌ 💩`,
    ];
    for (const [index, text] of texts.entries()) {
      const metadata = { [text]: text, deep: [{ [text]: [text] }] };
      const body = {
        kitNumber: `${index} ${text}`.slice(0, 64).trim(),
        kitType: text,
        orderId: text,
        notes: text,
        metadata,
      };
      const made = await asAlice.post('/kits', body, { 'idempotency-key': `a${index}'--` });
      expect(made.status, made.text).toBe(201);
      expect(made.body).toMatchObject(body);
      const read = await asAlice.get(`/kits/${made.body.id}`);
      expect(read.text).toBe(made.text);
      const changed = await asAlice.patch(`/kits/${made.body.id}`, {
        notes: `${text}2`,
        orderId: `${text}3`,
      });
      expect(changed.body).toMatchObject({ notes: `${text}2`, orderId: `${text}3`, metadata });
      const asPractitioner = rig.as(carol);
      const theirs = await asPractitioner.post('/v2/kits', {
        ownerType: 'practitioner',
        kitNumber: `p ${index} ${text}`.slice(0, 64).trim(),
        attributes: { patientName: text, patientEmail: text },
      });
      expect(theirs.body).toMatchObject({ attributes: { patientName: text, patientEmail: text } });
    }
    const { rows } = await rig.legacy.pool.query(
      `select (select count(*)::int from users) as users, to_regclass('kit')::text as kit`,
    );
    expect(rows).toEqual([{ users: 50, kit: 'kit' }]);
  });

  it('is told what is wrong with a body, and where', async () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    const made = (rest: string) => `{"kitNumber":"${MARK}"${rest}}`;
    const cases: [string | Buffer, ReturnType<typeof refused>, Record<string, string>?][] = [
      [made(`,"notes":"${'x'.repeat(66_000)}"`), refused(413, 'payload-too-large')],
      [`"${'x'.repeat(66_000)}`, refused(413, 'payload-too-large')],
      ['', refused(400, 'malformed-json')],
      [' \n', refused(400, 'malformed-json')],
      ['{', refused(400, 'malformed-json')],
      [`{"kitNumber":"${MARK}",}`, refused(400, 'malformed-json')],
      [`{'kitNumber':'${MARK}'}`, refused(400, 'malformed-json')],
      [`${made('')}${made('')}`, refused(400, 'malformed-json')],
      ['{"kitNumber":NaN}', refused(400, 'malformed-json')],
      [`\ufeff${made('')}`, refused(400, 'malformed-json')],
      [Buffer.from(made(',"notes":"\xff"'), 'latin1'), refused(400, 'malformed-json')],
      [Buffer.from(made(',"notes":"\xc0\x80"'), 'latin1'), refused(400, 'malformed-json')],
      [made(`,"metadata":{"a":${nested(15)}}`), refused(422, 'invalid-body')],
      [nested(20_000), refused(422, 'invalid-body')],
      ['null', refused(422, 'invalid-body', '')],
      ['[]', refused(422, 'invalid-body', '')],
      ['"x"', refused(422, 'invalid-body', '')],
      [`[${made('')}]`, refused(422, 'invalid-body', '')],
      ['{}', refused(422, 'invalid-body', '/kitNumber')],
      [made(`,"kitNumber":"again"`), refused(422, 'invalid-body', '/kitNumber')],
      [made(`,"kitNumb\\u0065r":"again"`), refused(422, 'invalid-body', '/kitNumber')],
      [made(`,"metadata":{"a":{"b":1,"b":2}}`), refused(422, 'invalid-body', '/metadata/a/b')],
      [made(`,"userId":"${bob.userId}"`), refused(422, 'invalid-body', '/userId')],
      [
        made(`,"id":1,"kitsId":"x","ownerType":"client"`),
        refused(422, 'invalid-body', '/id', '/kitsId', '/ownerType'),
      ],
      [
        made(`,"status":"completed","createdAt":"2020-01-01"`),
        refused(422, 'invalid-body', '/status', '/createdAt'),
      ],
      [made(`,"patientName":"x"`), refused(422, 'invalid-body', '/patientName')],
      [made(`,"__proto__":{"admin":true}`), refused(422, 'invalid-body', '/__proto__')],
      [made(`,"constructor":{"prototype":{}}`), refused(422, 'invalid-body', '/constructor')],
      [made(`,"metadata":{"__proto__":1}`), refused(422, 'invalid-body', '/metadata/__proto__')],
      [made(`,"a/b~c":1`), refused(422, 'invalid-body', '/a~1b~0c')],
      ...[
        '1',
        'true',
        'null',
        '[]',
        '{}',
        '""',
        '" x"',
        '"x "',
        '"x\\u0007y"',
        `"${'x'.repeat(65)}"`,
      ].map((value): [string, ReturnType<typeof refused>] => [
        `{"kitNumber":${value}}`,
        refused(422, 'invalid-body', '/kitNumber'),
      ]),
      [made(`,"kitType":7`), refused(422, 'invalid-body', '/kitType')],
      [made(`,"orderId":"${'x'.repeat(129)}"`), refused(422, 'invalid-body', '/orderId')],
      [made(`,"notes":"${'x'.repeat(2_001)}"`), refused(422, 'invalid-body', '/notes')],
      [made(`,"metadata":[1]`), refused(422, 'invalid-body', '/metadata')],
      [made(`,"metadata":"{}"`), refused(422, 'invalid-body', '/metadata')],
      [made(`,"notes":"a\\u0000b"`), refused(422, 'invalid-body', '/notes')],
      [made(`,"metadata":{"a":["\\u0000"]}`), refused(422, 'invalid-body', '/metadata/a/0')],
      [made(`,"metadata":{"\\u0000":1}`), refused(422, 'invalid-body', '/metadata/\0')],
      [made(`,"notes":"\\ud800"`), refused(422, 'invalid-body', '/notes')],
      [made(`,"notes":"\\udc00\\ud800"`), refused(422, 'invalid-body', '/notes')],
      [made(`,"metadata":{"n":1e999999}`), refused(422, 'invalid-body', '/metadata/n')],
      [made(`,"metadata":{"n":-1E+401}`), refused(422, 'invalid-body', '/metadata/n')],
      [made(`,"metadata":{"n":1e-99999}`), refused(422, 'invalid-body', '/metadata/n')],
      [made(`,"metadata":{"n":${'1'.repeat(1_001)}}`), refused(422, 'invalid-body', '/metadata/n')],
      [made(''), refused(415, 'unsupported-media-type'), { 'content-type': 'text/plain' }],
      [made(''), refused(415, 'unsupported-media-type'), { 'content-type': '' }],
      [
        made(''),
        refused(415, 'unsupported-media-type'),
        { 'content-type': 'application/json; charset=latin1' },
      ],
      [
        made(''),
        refused(415, 'unsupported-media-type'),
        { 'content-type': 'application/x-www-form-urlencoded' },
      ],
      [made(''), refused(415, 'unsupported-media-type'), { 'content-encoding': 'gzip' }],
    ];
    for (const [body, expected, headers = {}] of cases) {
      const what = body.toString().slice(0, 80);
      expect([what, problem(await sent('/kits', body, headers))]).toEqual([what, expected]);
    }
    for (const [body, expected] of [
      [
        `{"ownerType":"client","kitNumber":"${MARK}","notes":"x"}`,
        refused(422, 'invalid-body', '/notes'),
      ],
      [
        `{"ownerType":"client","kitNumber":"${MARK}","attributes":{"patientName":"x"}}`,
        refused(422, 'invalid-body', '/attributes/patientName'),
      ],
      [`{"ownerType":"both","kitNumber":"${MARK}"}`, refused(422, 'invalid-body', '/ownerType')],
      [`{"kitNumber":"${MARK}"}`, refused(422, 'invalid-body', '/ownerType')],
    ] as const)
      expect([body, problem(await sent('/v2/kits', body))]).toEqual([body, expected]);
    for (const [body, expected] of [
      ['{"kitNumber":"other"}', refused(422, 'invalid-body', '/kitNumber')],
      [`{"userId":"${bob.userId}"}`, refused(422, 'invalid-body', '/userId')],
      ['{"status":"sampled"}', refused(422, 'invalid-body', '/status')],
      ['{"status":null}', refused(422, 'invalid-body', '/status')],
      ['{"status":["registered"]}', refused(422, 'invalid-body', '/status')],
      ['{"status":"constructor"}', refused(422, 'invalid-body', '/status')],
      ['{"status":"rejected"}', refused(403, 'forbidden')],
      ['[]', refused(422, 'invalid-body', '')],
    ] as const)
      expect([body, problem(await patched(`/kits/${own.id}`, body))]).toEqual([body, expected]);
  });

  it('gets every digit of a number back, and nothing more', async () => {
    const number = '12345678901234567890.1234567890';
    const body = `{"kitNumber":"digits","metadata":{"n":${number},"e":1e3,"small":1e-7}}`;
    const made = await sent('/kits', body);
    expect(made.status, made.text).toBe(201);
    const kept = `"metadata":{"e": 1000, "n": ${number}, "small": 0.0000001}`;
    expect(made.text).toContain(kept);
    expect((await raw(`/v2/kits/${JSON.parse(made.text).kitsId}`)).text).toContain(kept);
  });

  it('turns no page of another list, and no page that there is not', async () => {
    const page = await asAlice.get('/kits?limit=1');
    const cursor = String(page.body.nextCursor);
    expect((await asAlice.get(`/kits?limit=1&cursor=${cursor}`)).status).toBe(200);
    const all = String((await asAlice.get('/v2/kits?limit=1')).body.nextCursor);
    const mine = `/kits ${alice.userId}`;
    const mineToo = `/v2/kits ${alice.userId} `;
    const forge = (after: string, scope: string) => encodeCursor({ after }, scope);
    const invalid = refused(400, 'invalid-cursor');
    const flipped = Buffer.from(cursor, 'base64url');
    flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
    for (const path of [
      ...[
        '',
        'x',
        `${cursor}x`,
        cursor.slice(1),
        `${cursor}=`,
        `${cursor}%00`,
        cursor.toLowerCase(),
      ],
      ...[flipped.toString('base64url'), all, 'x'.repeat(4_000), `${cursor},${cursor}`],
      ...[forge('1', `/kits ${bob.userId}`), forge("1' or true --", mine), forge('', mine)],
      ...[
        forge('\0', mine),
        forge('9'.repeat(300), mine),
        forge('NaN', mine),
        forge(own.kitsId, mine),
      ],
    ].map((one) => `/kits?limit=1&cursor=${one}`))
      expect([path, problem(await raw(path))]).toEqual([path, invalid]);
    for (const one of [cursor, forge('x', mineToo), forge('1', mineToo), forge('\0', mineToo)])
      expect([one, problem(await raw(`/v2/kits?cursor=${one}`))]).toEqual([one, invalid]);
    for (const path of [`/kits?limit=1&cursor=${cursor}`, `/v2/kits?cursor=${all}`])
      expect(problem(await rig.as(bob).get(path))).toEqual(invalid);
    const theirs = `/practitioners/${carol.practitionerId}/kits`;
    for (const after of ['1', 'x', '\0', `{${carols.id}}`]) {
      const forged = forge(after, `/practitioners/{practitionerId}/kits ${carol.practitionerId}`);
      expect(problem(await rig.as(carol).get(`${theirs}?cursor=${forged}`))).toEqual(invalid);
    }
    // A forged position within one's own list leads to one's own kits and to nobody else's.
    const { kits } = (await asAlice.get(`/kits?cursor=${forge('-1', mine)}`)).body as {
      kits: { userId: string }[];
    };
    expect(new Set(kits.map(({ userId }) => userId))).toEqual(new Set([alice.userId]));
  });

  it('injects nothing through headers', async () => {
    const bad = refused(400, 'invalid-header');
    const body = `{"kitNumber":"${MARK} header"}`;
    for (const key of ['', '""', 'é', 'a b', '"a', 'a\tb', `"a"b"`, 'x'.repeat(256), '"\\x"'])
      expect([key, problem(await sent('/kits', body, { 'idempotency-key': key }))]).toEqual([
        key,
        bad,
      ]);
    for (const tag of ['', 'abc', '"a', 'é', '"a" "b"', '*, "a"', 'W/abc', "' or '1'='1"]) {
      const answers = await Promise.all([
        patched(`/kits/${own.id}`, '{}', { 'if-match': tag }),
        patched(`/v2/kits/${own.kitsId}`, '{}', { 'if-match': tag }),
        raw(`/kits/${own.id}`, { 'if-none-match': tag }),
      ]);
      for (const response of answers) expect([tag, problem(response)]).toEqual([tag, bad]);
    }
    const failed = refused(412, 'precondition-failed');
    for (const tag of ['"x"', '"é"', 'W/"x"', `"';drop--table"`, `"${'x'.repeat(4_000)}"`])
      expect([tag, problem(await patched(`/kits/${own.id}`, '{}', { 'if-match': tag }))]).toEqual([
        tag,
        failed,
      ]);
    const before = (await raw(`/kits/${own.id}`)).headers.etag ?? '';
    const weak = await patched(`/kits/${own.id}`, '{}', { 'if-match': `W/${before}` });
    expect(problem(weak)).toEqual(failed);
    expect(problem(await patched(`/v2/kits/${own.kitsId}`, '{}'))).toEqual(
      refused(428, 'precondition-required'),
    );
    // A line break ends the header, or the request: nothing of it comes back as a header.
    const { host } = new URL(rig.api.url);
    for (const line of [
      `Idempotency-Key: a\r\n Set-Cookie: ${MARK}=1`,
      `Idempotency-Key: a\rSet-Cookie: ${MARK}=1`,
      `Idempotency-Key: a\nSet-Cookie: ${MARK}=1`,
      `Idempotency-Key: a\0b`,
      `If-None-Match: "a"\r\n\tSet-Cookie: ${MARK}=1`,
    ]) {
      const answer = await rawBytes(
        rig.api.url,
        `GET /kits/${own.id} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n${line}\r\n\r\n`,
      );
      expect([line, answer.split('\r\n')[0]]).toEqual([
        line,
        expect.stringMatching(/^HTTP\/1\.1 (400|200)/),
      ]);
      expect(answer.toLowerCase()).not.toContain('set-cookie');
    }
    for (const path of [
      '/kits/1%0d%0aSet-Cookie:%20x',
      '/kits%0d%0aSet-Cookie:%20x',
      '/kits?limit=1%0d%0aSet-Cookie:%20x',
    ]) {
      const response = await raw(path);
      expect([path, response.status]).toEqual([path, expect.toBeOneOf([400, 404])]);
      expect(response.headers['set-cookie']).toBeUndefined();
    }
    const page = await raw('/kits/?limit=1&x=%0d%0aSet-Cookie:%20x');
    expect(page.headers.link).toMatch(/^<\/kits\?limit=1&cursor=[\w-]+>; rel="next", <\/v2\/kits>/);
  });

  it('finds the methods and the paths that there are, and no others', async () => {
    const notAllowed = refused(405, 'method-not-allowed');
    const kit = `/kits/${own.id}`;
    for (const [method, path, allow] of [
      ['DELETE', '/kits', 'GET, POST'],
      ['PUT', '/kits', 'GET, POST'],
      ['PATCH', '/kits', 'GET, POST'],
      ['OPTIONS', '/kits', 'GET, POST'],
      ['DELETE', kit, 'GET, PATCH'],
      ['POST', kit, 'GET, PATCH'],
      ['PUT', kit, 'GET, PATCH'],
      ['DELETE', `/v2/kits/${own.kitsId}`, 'GET, PATCH'],
      ['DELETE', `/kits/${bobs.id}`, 'GET, PATCH'],
      ['DELETE', `/practitioners/${carol.practitionerId}/kits`, 'GET, POST'],
      ['POST', '/openapi.json', 'GET'],
    ] as const) {
      const response = await raw(path, { 'x-http-method-override': 'GET' }, method);
      expect([method, path, problem(response), response.headers.allow]).toEqual([
        method,
        path,
        notAllowed,
        allow,
      ]);
    }
    const head = await raw('/kits', {}, 'HEAD');
    expect([head.status, head.text]).toEqual([405, '']);
    for (const path of [
      '/kitz',
      '/KITS',
      '/v2',
      '/v1/kits',
      '/kits//',
      '//kits',
      `${kit}//`,
      `${kit}/x`,
      `/kits/${own.id}/../${bobs.id}`,
      '/practitioners',
      '/practitioners/x/kits/1/2',
      '/problems/not-found',
      '/kits%00',
      '/.env',
      '/v2/kits//',
    ])
      expect([path, problem(await raw(path))]).toEqual([path, refused(404, 'not-found')]);
    for (const path of ['/kits/%zz', '/kits/%', '/kits/%c0%ae', '/%ff'])
      expect([path, (await raw(path)).text]).toEqual([path, '{"message":"Bad Request"}']);
    expect((await raw(`/kits/${'9'.repeat(20_000)}`)).status).toBe(431);
    for (const path of [
      '/kits/',
      `${kit}/`,
      '/v2/kits/',
      '/kits?unknown=1&limit[]=7',
      '/kits?cursor[]=x',
    ])
      expect([path, (await raw(path)).status]).toEqual([path, 200]);
    const invalid = refused(400, 'invalid-parameter');
    for (const query of [
      'limit=',
      'limit=0',
      'limit=-1',
      'limit=101',
      'limit=1.0',
      'limit=1e1',
      'limit=0x1',
      'limit=%2B1',
      'limit=%20',
      'limit=%D9%A1',
      'limit=1&limit=2',
      'limit=1;limit=2',
      'limit=NaN',
      'limit=9999999999999999999',
      "limit=1'",
    ])
      expect([query, problem(await raw(`/kits?${query}`))]).toEqual([query, invalid]);
  });

  it('has changed nothing that was refused, and learnt nothing from refusals or from the log', async () => {
    const { rows } = await rig.legacy.pool.query(
      `select (select count(*)::int from practitioners) as practitioners,
              (select count(*)::int from kits_service.idempotency_key) as keys,
              (select count(*)::int from migration.pending_sync where error is not null) as failed`,
    );
    expect(rows).toEqual([{ practitioners: 10, keys: 5, failed: 0 }]);
    const refusals = answered.filter(({ status }) => status >= 400);
    expect(refusals.length).toBeGreaterThan(300);
    const known = new RegExp(names.join('|'));
    for (const { status, text, headers } of refusals) {
      expect(status).toBeLessThan(500);
      expect(`${text}${JSON.stringify(headers)}`).not.toContain(MARK);
      expect(text).not.toMatch(
        /\bselect\b|\binsert\b|\bdelete\b|SQLSTATE|\b(22|23|42|KF)\d\d[0-9A-Z]\b|\.ts\b|node_modules|\bat \/|Error\b/i,
      );
      expect(text).not.toMatch(known);
    }
    const lines = rig.log.map((line) => JSON.stringify(line));
    expect(rig.log.filter(({ level }) => level === 'ERROR' || level === 'WARN')).toEqual([]);
    const requests = rig.log.filter(({ message }) => message === 'a request was answered');
    expect(requests.length).toBeGreaterThan(300);
    for (const line of lines) {
      expect(line).not.toContain(MARK);
      for (const value of [
        alice.userId,
        bob.userId,
        carol.practitionerId,
        own.kitsId,
        'Patient',
        '@example.net',
        token,
      ])
        expect(line).not.toContain(value);
      expect(line).not.toMatch(/\b[KP]\d+\b|drop table|bearer/i);
    }
  });
});
