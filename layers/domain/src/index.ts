export * from './canonical-json.ts';
export * from './errors.ts';
export * from './findings.ts';
export * from './flags.ts';
export * from './mapping/parse.ts';
export * from './mapping/reference.ts';
export * from './mapping/schema.ts';
export * from './stages.ts';
