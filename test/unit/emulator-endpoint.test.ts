import { describe, expect, it } from 'vitest';
import { emulatorEndpoint } from '../emulator/endpoint.ts';

describe('the lane that deploys to an emulator', () => {
  it.each([
    ['http://127.0.0.1:4566', 'http://127.0.0.1:4566/'],
    ['http://localhost:4566', 'http://127.0.0.1:4566/'],
    ['https://[::1]:4566', 'https://[::1]:4566/'],
  ])('deploys to %s', (given, url) => {
    expect(emulatorEndpoint(given).href).toBe(url);
  });

  it.each([
    [undefined],
    [''],
    ['https://cloudformation.eu-central-1.amazonaws.com'],
    ['http://localhost.example.com:4566'],
    ['http://127.0.0.1.nip.io:4566'],
    ['http://127.0.0.1@example.com:4566'],
    ['http://user:password@127.0.0.1:4566'],
    ['http://10.0.0.1:4566'],
    ['ftp://127.0.0.1'],
    ['127.0.0.1:4566'],
  ])('refuses %s', (given) => {
    expect(() => emulatorEndpoint(given)).toThrow(
      expect.objectContaining({ name: 'EndpointRefused' }),
    );
  });
});
