const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i;

/** A JSON number's value in one spelling only: sign, digits without outer zeros, power of ten. */
const decimalValue = (literal: string): string => {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = DECIMAL.exec(literal) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const power = Number(exponent) - fraction.length + digits.length - significant.length;
  return `${sign}${significant}e${power}`;
};

/**
 * A reviver for `JSON.parse`: a number that a double would change becomes raw JSON, which `JSON.stringify`
 * writes with the digits it came with. All others are plain numbers.
 */
export function keepExact(
  this: unknown,
  _key: string,
  value: unknown,
  { source }: { readonly source?: string },
): unknown {
  if (typeof value !== 'number' || source === undefined) return value;
  const kept = Number.isFinite(value) && decimalValue(String(value)) === decimalValue(source);
  return kept ? value : JSON.rawJSON(source);
}
