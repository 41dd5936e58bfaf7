// The dependency rules, and a guard against a check that sees nothing: with a compiler that has no
// JavaScript API dependency-cruiser cruises 0 modules and passes.
import { spawnSync } from 'node:child_process';

const run = spawnSync(
  'depcruise',
  [
    '--config',
    '.dependency-cruiser.cjs',
    '--output-type',
    'json',
    'infra',
    'functions',
    'layers',
    'test',
  ],
  { encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 },
);
if (run.error) throw run.error;
const { summary } = JSON.parse(run.stdout) as {
  summary: {
    totalCruised: number;
    totalDependenciesCruised: number;
    violations: { from: string; to: string; rule: { name: string; severity: string } }[];
  };
};
for (const violation of summary.violations)
  console.error(`${violation.rule.name}: ${violation.from} -> ${violation.to}`);
if (summary.totalCruised < 50 || summary.totalDependenciesCruised < 50) {
  console.error(`cruised only ${summary.totalCruised} modules: the check sees nothing`);
  process.exit(1);
}
console.log(
  `${summary.totalCruised} modules, ${summary.totalDependenciesCruised} dependencies, ${summary.violations.length} violations`,
);
process.exit(summary.violations.length === 0 ? 0 : 1);
