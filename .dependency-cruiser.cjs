/** Imports run one way: infra -> functions -> layers/data -> layers/domain. */
const forbid = (name, from, to, comment) => ({ name, severity: 'error', comment, from, to });

module.exports = {
  forbidden: [
    forbid('no-circular', {}, { circular: true }, 'A cycle has no bottom to reason from.'),
    forbid(
      'domain-is-pure',
      { path: '^layers/domain' },
      {
        path: '^(layers/data|functions|infra|test)|@aws-sdk|^pg$|node_modules/pg/|@middy|@aws-lambda-powertools',
      },
      'The domain knows no AWS and no database driver.',
    ),
    forbid(
      'data-knows-no-aws',
      { path: '^layers/data' },
      { path: '^(functions|infra|test)|@aws-sdk|@middy|@aws-lambda-powertools' },
      'The data layer speaks SQL only.',
    ),
    forbid(
      'functions-know-no-infra',
      { path: '^functions' },
      { path: '^(infra|test)' },
      'A function runs the same wherever it is deployed.',
    ),
    forbid(
      'infra-knows-no-tests',
      { path: '^infra' },
      { path: '^test' },
      'What ships never imports a test.',
    ),
    forbid(
      'no-unresolvable',
      {},
      { couldNotResolve: true, pathNot: '^(aws-lambda|pg-native)$' },
      'An import that resolves nowhere.',
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json'],
    },
  },
};
