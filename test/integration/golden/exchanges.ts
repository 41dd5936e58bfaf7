import { type CALLERS, PRACTICE, practitionerKit } from './data.ts';

/** A request of a golden file. `{name.field}` stands for what a kept response gave. */
export interface GoldenRequest {
  readonly name: string;
  readonly as: keyof typeof CALLERS | 'nobody';
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Keeps the kit of the response under this name: its `etag`, and of a new kit `id` and `kitsId`. */
  readonly keep?: string;
}

type As = GoldenRequest['as'];
type More = Pick<GoldenRequest, 'query' | 'headers' | 'keep'>;

const get = (name: string, as: As, path: string, more: More = {}): GoldenRequest => ({
  name,
  as,
  method: 'GET',
  path,
  ...more,
});

const send =
  (method: 'POST' | 'PATCH') =>
  (name: string, as: As, path: string, body: unknown, more: More = {}): GoldenRequest => ({
    name,
    as,
    method,
    path,
    ...more,
    headers: { 'content-type': 'application/json', ...more.headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const post = send('POST');
const patch = send('PATCH');

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n + 1);

const clientReads: readonly GoldenRequest[] = [
  ...numbers(8).map((n) => get(`kit ${n}`, 'ada', `/kits/${n}`)),
  get('a kit whose id is larger than a double', 'bob', '/kits/9007199254740993'),
  get('all kits on one page', 'ada', '/kits'),
  get('the first page of three kits', 'ada', '/kits', { query: { limit: '3' } }),
  get(
    'a page by the cursor of the one before, which outlives a switch of the stores',
    'ada',
    '/kits',
    {
      query: { limit: '3', cursor: 'AY7rPlJAlRmnMJmSBjM' },
    },
  ),
  get('no kits at all', 'dora', '/kits'),
  get("somebody else's kit", 'bob', '/kits/1'),
  get('a kit that is not there', 'ada', '/kits/10'),
  get('an id that no kit can have', 'ada', '/kits/one'),
  get('a kit by the other id', 'ada', `/kits/${practitionerKit(1)}`),
  get('without a token', 'nobody', '/kits'),
  get('a limit that is none', 'ada', '/kits', { query: { limit: '0' } }),
  get('a cursor of nobody', 'ada', '/kits', { query: { cursor: 'x' } }),
  get('unless it is another version', 'ada', '/kits/1', { headers: { 'if-none-match': '*' } }),
  get('if it is another version', 'ada', '/kits/1', { headers: { 'if-none-match': '"other"' } }),
  get('by a condition that is none', 'ada', '/kits/1', { headers: { 'if-none-match': 'other' } }),
  get('a path that nobody serves', 'ada', '/kits/1/results'),
  { name: 'a method that is none', as: 'ada', method: 'DELETE', path: '/kits/1' },
];

const practitionerReads: readonly GoldenRequest[] = [
  ...numbers(8).map((n) => get(`kit ${n}`, 'practitioner', `${PRACTICE}/${practitionerKit(n)}`)),
  get('all kits on one page', 'practitioner', PRACTICE),
  get('the first page of five kits', 'practitioner', PRACTICE, { query: { limit: '5' } }),
  get("another practitioner's kit", 'practitioner', `${PRACTICE}/${practitionerKit(9)}`),
  get("another practitioner's kits", 'another practitioner', PRACTICE),
  get("a practitioner's kits for their user alone", 'dora', PRACTICE),
  get('a kit that is not there', 'practitioner', `${PRACTICE}/${practitionerKit(0)}`),
  get('unless it is another version', 'practitioner', `${PRACTICE}/${practitionerKit(2)}`, {
    headers: { 'if-none-match': '"other", *' },
  }),
];

const clientWrites: readonly GoldenRequest[] = [
  post('a kit with its number alone', 'ada', '/kits', { kitNumber: 'N-1' }, { keep: 'bare' }),
  get('the same read', 'ada', '/kits/{bare.id}'),
  get('the same unless it is another version', 'ada', '/kits/{bare.id}', {
    headers: { 'if-none-match': '{bare.etag}' },
  }),
  post(
    'a kit with everything',
    'ada',
    '/kits',
    `{"kitNumber": "N-2 Ü😀", "kitType": "DNA", "orderId": "O \\"2\\"", "notes": "first\\nsecond", "metadata": {"exact": 12345678901234567890.10, "ö": [1.0, 1e2, null]}}`,
    { headers: { 'idempotency-key': '"key-1"' }, keep: 'full' },
  ),
  post(
    'the same again under its key',
    'ada',
    '/kits',
    `{"metadata": {"ö": [1.0, 1e2, null], "exact": 12345678901234567890.10}, "kitNumber": "N-2 Ü😀", "kitType": "DNA", "orderId": "O \\"2\\"", "notes": "first\\nsecond"}`,
    { headers: { 'idempotency-key': 'key-1' } },
  ),
  post(
    'another one under the same key',
    'ada',
    '/kits',
    { kitNumber: 'N-3' },
    { headers: { 'idempotency-key': 'key-1' } },
  ),
  post(
    "nulls, which take the columns' defaults",
    'ada',
    '/kits',
    { kitNumber: 'N-4', kitType: null, orderId: null, metadata: null, notes: null },
    { keep: 'nulls' },
  ),
  post("a number of the caller's own kit", 'ada', '/kits', { kitNumber: 'G-1' }),
  post("a number of a practitioner's kit", 'ada', '/kits', { kitNumber: 'H-9' }),
  post('a kit of nobody', 'nobody', '/kits', { kitNumber: 'N-5' }),
  post('a body that misses its number', 'ada', '/kits', { orderId: 'O' }),
  post('a body with faults', 'ada', '/kits', { kitNumber: ' x', colour: 'blue', metadata: [] }),
  post('a body that is no JSON', 'ada', '/kits', '{'),
  post('a body of another type', 'ada', '/kits', '{}', { headers: { 'content-type': 'text/csv' } }),
  patch('one field', 'ada', '/kits/{bare.id}', { orderId: 'O 1' }, { keep: 'bare' }),
  patch(
    'registered, only if it still is that version',
    'ada',
    '/kits/{bare.id}',
    { status: 'registered' },
    { headers: { 'if-match': '{bare.etag}' }, keep: 'bare' },
  ),
  patch(
    'only if it still is another version',
    'ada',
    '/kits/{bare.id}',
    { orderId: 'O 2' },
    { headers: { 'if-match': '"other"' } },
  ),
  patch('the same status again', 'ada', '/kits/{bare.id}', { status: 'registered' }),
  patch('collected', 'ada', '/kits/{bare.id}', { status: 'collected' }, { keep: 'bare' }),
  patch('a status that only the laboratory gives', 'ada', '/kits/{bare.id}', {
    status: 'received',
  }),
  patch('a status that cannot follow', 'ada', '/kits/6', { status: 'cancelled' }),
  patch('a status that is none', 'ada', '/kits/{bare.id}', { status: 'lost' }),
  patch('the number, which never changes', 'ada', '/kits/{bare.id}', { kitNumber: 'N-9' }),
  patch('everything back to null', 'ada', '/kits/{full.id}', {
    kitType: null,
    orderId: null,
    notes: null,
    metadata: null,
  }),
  patch('a kit with times that ISO 8601 cannot say', 'ada', '/kits/5', { orderId: 'O-5b' }),
  patch('nothing', 'ada', '/kits/2', {}),
  patch("somebody else's kit", 'bob', '/kits/1', { orderId: 'mine' }),
  patch('a kit that is not there', 'ada', '/kits/10', { orderId: 'mine' }),
  get('the last page, with what was made', 'ada', '/kits', { query: { limit: '100' } }),
];

const practitionerWrites: readonly GoldenRequest[] = [
  post(
    'a kit with everything',
    'practitioner',
    PRACTICE,
    {
      kitNumber: 'M-1',
      kitType: 'GUT',
      orderId: 'P',
      patientName: 'Ádám',
      patientEmail: 'a@example.net',
      metadata: { a: 1 },
    },
    { headers: { 'idempotency-key': 'key-1' }, keep: 'made' },
  ),
  get('the same read', 'practitioner', `${PRACTICE}/{made.id}`),
  post(
    'the same again under its key',
    'practitioner',
    PRACTICE,
    {
      kitNumber: 'M-1',
      kitType: 'GUT',
      orderId: 'P',
      patientName: 'Ádám',
      patientEmail: 'a@example.net',
      metadata: { a: 1 },
    },
    { headers: { 'idempotency-key': 'key-1' } },
  ),
  post("a number of a client's kit", 'practitioner', PRACTICE, { kitNumber: 'G-9' }),
  post('for another practitioner', 'another practitioner', PRACTICE, { kitNumber: 'M-2' }),
  post('for the practitioner by their user alone', 'dora', PRACTICE, { kitNumber: 'M-2' }),
  patch(
    'registered',
    'practitioner',
    `${PRACTICE}/{made.id}`,
    { status: 'registered', patientName: null },
    { headers: { 'if-match': '{made.etag}' }, keep: 'made' },
  ),
  patch(
    'sampled',
    'practitioner',
    `${PRACTICE}/{made.id}`,
    { status: 'sampled' },
    { keep: 'made' },
  ),
  patch('a word of the other vocabulary', 'practitioner', `${PRACTICE}/{made.id}`, {
    status: 'collected',
  }),
  patch('cancelled', 'practitioner', `${PRACTICE}/{made.id}`, { status: 'cancelled' }),
  patch('a field of the other kind', 'practitioner', `${PRACTICE}/{made.id}`, { notes: 'n' }),
  patch("another practitioner's kit", 'practitioner', `${PRACTICE}/${practitionerKit(9)}`, {
    orderId: 'mine',
  }),
];

const V2 = '/v2/kits';
const unified: readonly GoldenRequest[] = [
  get('all that a client owns', 'bob', V2),
  get('all that a practitioner owns', 'practitioner', V2, { query: { limit: '3' } }),
  get('nothing for the user alone', 'dora', V2),
  post(
    "a client's kit",
    'bob',
    V2,
    { ownerType: 'client', kitNumber: 'U-1', attributes: { notes: 'n' }, metadata: { a: 1 } },
    { keep: 'own' },
  ),
  get('the same read', 'bob', `${V2}/{own.kitsId}`),
  get('the same under the legacy contract', 'bob', '/kits/{own.id}'),
  post(
    "a practitioner's kit",
    'practitioner',
    V2,
    { ownerType: 'practitioner', kitNumber: 'U-2', attributes: { patientName: 'P' } },
    { keep: 'patients' },
  ),
  post("a practitioner's kit by their user alone", 'dora', V2, {
    ownerType: 'practitioner',
    kitNumber: 'U-3',
  }),
  post('a kit of no owner', 'bob', V2, { kitNumber: 'U-3' }),
  patch('without saying which version', 'bob', `${V2}/{own.kitsId}`, { orderId: 'O' }),
  patch(
    'the version that was read',
    'bob',
    `${V2}/{own.kitsId}`,
    { status: 'registered', attributes: { notes: null } },
    { headers: { 'if-match': '{own.etag}' }, keep: 'own' },
  ),
  patch(
    'one status for both kinds of kits',
    'practitioner',
    `${V2}/{patients.kitsId}`,
    { status: 'registered' },
    { headers: { 'if-match': '*' } },
  ),
  patch(
    'a field of the other kind',
    'practitioner',
    `${V2}/{patients.kitsId}`,
    { attributes: { notes: 'n' } },
    { headers: { 'if-match': '*' } },
  ),
  get("somebody else's kit", 'ada', `${V2}/{own.kitsId}`),
  get('a kit by the legacy id', 'bob', `${V2}/{own.id}`),
];

/** By golden file, in the order in which they are asked: on one database, so reads come first. */
export const GOLDEN = {
  'client-reads': clientReads,
  'practitioner-reads': practitionerReads,
  'client-writes': clientWrites,
  'practitioner-writes': practitionerWrites,
  v2: unified,
} as const satisfies Readonly<Record<string, readonly GoldenRequest[]>>;
export type GoldenFile = keyof typeof GOLDEN;
