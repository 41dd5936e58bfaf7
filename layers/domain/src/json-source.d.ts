/** JSON.parse source text access (ES2026): Node 24 has it, TypeScript's ES2024 library does not. */
interface RawJson {
  readonly rawJSON: string;
}

interface JSON {
  /** `source` is the text of a number, string, boolean or null. */
  parse(
    text: string,
    reviver: (
      this: unknown,
      key: string,
      value: unknown,
      context: { readonly source?: string },
    ) => unknown,
  ): unknown;
  /** A value that `JSON.stringify` writes as the given text, digit by digit. */
  rawJSON(text: string): RawJson;
  isRawJSON(value: unknown): value is RawJson;
}
