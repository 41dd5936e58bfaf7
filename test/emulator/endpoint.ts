const LOOPBACK = /^(127(\.\d{1,3}){3}|localhost|\[::1\])$/;

/** The endpoint is missing, or is not on this machine. */
export class EndpointRefused extends Error {
  override readonly name = 'EndpointRefused';
}

/**
 * The address of the emulator that a deployment goes to: on this machine and nowhere else, for what it is
 * given there are test credentials, and what it makes is thrown away.
 *
 * @param given what `AWS_ENDPOINT_URL` says
 * @throws {EndpointRefused} when it says nothing, or names another machine.
 */
export const emulatorEndpoint = (given: string | undefined): URL => {
  if (given === undefined || given === '')
    throw new EndpointRefused(
      'AWS_ENDPOINT_URL is not set: start an emulator of AWS on this machine and name it, like AWS_ENDPOINT_URL=http://127.0.0.1:4566',
    );
  const url = URL.parse(given);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new EndpointRefused(`AWS_ENDPOINT_URL is "${given}", which is no http address`);
  if (!LOOPBACK.test(url.hostname) || url.username !== '' || url.password !== '')
    throw new EndpointRefused(
      `AWS_ENDPOINT_URL names "${url.host}": this lane deploys to 127.0.0.1 or localhost only`,
    );
  // By its number the SDK addresses buckets by path; by its name it would look for bucket.localhost.
  if (url.hostname === 'localhost') url.hostname = '127.0.0.1';
  return url;
};
