import { unsupportedPath } from './supported-paths.ts';

const COMPARED = ['Equals', 'LessThan', 'GreaterThan', 'LessThanEquals', 'GreaterThanEquals'];

/** The operators of a Choice rule that compare as on AWS. */
export const CHOICE_OPERATORS: readonly string[] = [
  ...COMPARED.flatMap((way) => [`String${way}`, `String${way}Path`]),
  ...COMPARED.flatMap((way) => [`Numeric${way}`, `Numeric${way}Path`]),
  'StringMatches',
  'BooleanEquals',
  'BooleanEqualsPath',
  'IsNull',
  'IsPresent',
  'IsNumeric',
  'IsString',
  'IsBoolean',
  'IsTimestamp',
];

/** Complaints about the rules of a Choice state. */
export function unsupportedChoices(where: string, choices: unknown, nested: boolean): string[] {
  if (!Array.isArray(choices)) return [`${where}: Choices is not a list.`];
  return choices.flatMap((rule) => unsupportedRule(where, rule, nested));
}

function unsupportedRule(where: string, rule: unknown, nested: boolean): string[] {
  if (typeof rule !== 'object' || rule === null) return [`${where}: a rule is not an object.`];
  return Object.entries(rule).flatMap(([field, value]): string[] => {
    if (field === 'Next' || field === 'Comment') return [];
    if (field === 'Not') return unsupportedRule(where, value, nested);
    if (field === 'And' || field === 'Or') return unsupportedChoices(where, value, nested);
    if (field === 'Variable') return unsupportedPath(`${where}, Variable`, value, { nested });
    return unsupportedComparison(where, field, value, nested);
  });
}

function unsupportedComparison(
  where: string,
  operator: string,
  value: unknown,
  nested: boolean,
): string[] {
  if (operator.startsWith('Timestamp')) {
    return [`${where}: ${operator} compares times as text; compare numbers instead.`];
  }
  if (!CHOICE_OPERATORS.includes(operator)) return [`${where}: ${operator} is not supported.`];
  if (operator.endsWith('Path')) return unsupportedPath(`${where}, ${operator}`, value, { nested });
  if (operator.startsWith('Is') && value !== true) {
    return [`${where}: ${operator} with false never matches; put it into a Not.`];
  }
  if (operator === 'StringMatches' && typeof value === 'string' && /[?\\]/.test(value)) {
    return [`${where}: in StringMatches only the asterisk means the same in both places.`];
  }
  return [];
}
