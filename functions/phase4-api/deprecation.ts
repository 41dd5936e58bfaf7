/** When the legacy routes were declared deprecated, and from when on they may be gone. They enforce neither. */
export interface Deprecation {
  /** ISO dates. */
  readonly deprecatedAt: string;
  readonly sunsetAt: string;
}

/**
 * The headers that announce it: `Deprecation` (RFC 9745, seconds since 1970 after an @), `Sunset` (RFC 8594,
 * an HTTP date), and where to go instead.
 */
export const deprecationHeaders = (
  { deprecatedAt, sunsetAt }: Deprecation,
  successor: string,
): Readonly<Record<string, string>> => ({
  deprecation: `@${Math.floor(Date.parse(deprecatedAt) / 1000)}`,
  sunset: new Date(sunsetAt).toUTCString(),
  link: `<${successor}>; rel="successor-version"`,
});
